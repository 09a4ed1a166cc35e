"""What the public modules share."""

from __future__ import annotations

from typing import Any

from gopark._runtime.base.printstring import shown

__all__ = ("flush", "integer", "set_public_module", "string")


def string(who: str, what: str, value: object) -> None:
    """Raise TypeError unless it is one."""
    if not isinstance(value, str):
        raise TypeError(f"{who}() needs a string as {what}, got {shown(value)}")


def integer(who: str, what: str, value: object) -> None:
    """Raise TypeError unless it is one; True is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{who}() needs an integer as {what}, got {shown(value)}")


def set_public_module(module: str, names: dict[str, Any]) -> None:
    """Make classes and functions say the public module they are found in (repr, pickle, help).

    And have `dir` show what is public, and not how the package is laid out.
    """
    names["__dir__"] = lambda: [*names["__all__"], *(n for n in names if n.startswith("__"))]
    for name in names["__all__"]:
        value = names.get(name)  # None: a module that is imported when it is asked for
        if getattr(value, "__module__", "").startswith("gopark.") and "._" in value.__module__:
            value.__module__ = module


def flush(file: Any) -> None:
    """Have a file of the user's give on what it holds back; what has only a `write` does not."""
    how = getattr(file, "flush", None)
    if how is not None:
        how()
