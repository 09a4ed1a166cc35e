"""What the public modules share."""

from __future__ import annotations

from typing import Any

__all__ = ("flush", "set_public_module")


def set_public_module(module: str, names: dict[str, Any]) -> None:
    """Make classes and functions say the public module they are found in (repr, pickle, help)."""
    for name in names["__all__"]:
        value = names[name]
        if getattr(value, "__module__", "").startswith("gopark.") and "._" in value.__module__:
            value.__module__ = module


def flush(file: Any) -> None:
    """Have a file of the user's give on what it holds back; what has only a `write` does not."""
    how = getattr(file, "flush", None)
    if how is not None:
        how()
