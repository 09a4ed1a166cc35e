"""Calls of named functions as values of a queue, and what comes back.

    call     {"call": "module:function", "args": [...], "kwargs": {...}, "task": n, "reply": queue}
    result   {"task": n, "value": ...} or {"task": n, "error": [class, text, traceback]}
             or {"task": n, "lost": why}

A function has the name it is found under: no closure, no method of an object. Which names may be
called is the worker's to say.

Source: none. Tests: tests/workqueue/test_group.py
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from gopark._runtime.base.printstring import shown

__all__ = ("allowed", "call_of", "error_of", "name_of")


def name_of(fn: object) -> str:
    """`module:function`, of a function or such a name.

    Raises:
        TypeError, ValueError: it has none.
    """
    if isinstance(fn, str):
        module, colon, name = fn.partition(":")
        if not (module and colon and name):
            raise ValueError(f"the name of a function is module:function, got {shown(fn)}")
        return fn
    home: str | None = getattr(fn, "__module__", None)
    own: str = getattr(fn, "__qualname__", "")
    if not callable(fn) or not home or not own:
        raise TypeError(f"a function, or its name module:function, got {shown(fn)}")
    if "<" in own:
        raise ValueError(
            f"{shown(fn)} has no name under which another process finds it: define it in a module"
        )
    return f"{home}:{own}"


def allowed(functions: Iterable[Any]) -> dict[str, Callable[..., Any]]:
    """By name: the functions, and of a module those that are public in it.

    `main` is what a program begins with, and is offered only where `__all__` has it.

    Raises:
        TypeError, ValueError: one has no name, or there is none.
    """
    names: dict[str, Callable[..., Any]] = {}
    for one in functions:
        if isinstance(one, ModuleType):
            for fn in _public(one):
                names[f"{one.__name__}:{fn.__qualname__}"] = fn
        else:
            if isinstance(one, str):
                raise TypeError(f"serve() needs functions, or modules of them, got {shown(one)}")
            names[name_of(one)] = one
    if not names:
        raise ValueError("serve() needs the functions that may be called, or a module of them")
    return names


def _public(module: ModuleType) -> list[Any]:
    listed = getattr(module, "__all__", None)
    if listed is not None:
        found = [getattr(module, name) for name in listed]
    else:
        found = [
            value
            for name, value in vars(module).items()
            if not name.startswith("_")
            and name != "main"
            and getattr(value, "__module__", "") == module.__name__
        ]
    return [one for one in found if callable(one) and not isinstance(one, type)]


def call_of(value: object) -> dict[str, Any] | None:
    """The value, if it is a call."""
    if isinstance(value, dict) and isinstance(value.get("call"), str):
        return value
    return None


def error_of(exc: BaseException) -> list[str]:
    """What a result says of an exception."""
    kind = type(exc)
    name = kind.__qualname__ if kind.__module__ == "builtins" else _full(kind)
    try:
        text = str(exc)
    except Exception:
        text = ""
    return [name, text, "".join(traceback.format_exception(exc))[-20_000:]]


def _full(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
