"""What the public modules share."""

from __future__ import annotations

from typing import Any

__all__ = ("set_public_module",)


def set_public_module(module: str, names: dict[str, Any]) -> None:
    """Make classes and functions say the public module they are found in (repr, pickle, help)."""
    for name in names["__all__"]:
        value = names[name]
        if getattr(value, "__module__", "").startswith("gopark.") and "._" in value.__module__:
            value.__module__ = module
