"""Locks of dicts, lists and sets in the child of a fork, which CPython 3.13 has without a GIL.

There each of them has a lock of its own, which C takes for a lookup too. A fork copies it as it is:
what another thread was just looking something up in stays locked in the child, where that thread
is not, and whoever looks there waits for ever. In the child is one thread, so who holds such a lock
is not there; and it is given back, for all that modules hold, and for what objects of ours that
modules hold have in them. CPython 3.14 has all threads stand still for a fork, and needs no such
thing.

What was being changed, and not only looked at, may be found half changed; `allgs`, which changes
all the time, is a new one in the child (newproc.relist).

Relies on: where CPython 3.13 has the lock of an object (Include/object.h, ob_mutex). That stays as
it is, for 3.13 gets repairs only.
Source: none; Go's fork is followed by exec. Tests: tests/runtime/test_fork.py
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections import deque
from typing import Any, Final

__all__ = ("NEEDED",)

NEEDED: Final = sys.version_info < (3, 14) and not getattr(sys, "_is_gil_enabled", lambda: True)()
_OB_MUTEX: Final = 10  # bytes from an object's beginning
_DEPTH: Final = 2  # a module's object, what that has; and a container that has it, is looked into
_MANY: Final = 10_000  # goroutines, say: of one that has more, what is in it is left
_LOCKED: Final = (dict, list, set, frozenset, deque)


def _giveback(held: Any) -> None:
    ctypes.c_ubyte.from_address(id(held) + _OB_MUTEX).value = 0


def _within(value: Any, depth: int) -> None:
    """It, and what it has in it, as far as that is ours or a container."""
    if isinstance(value, _LOCKED):
        _giveback(value)
        depth *= len(value) <= _MANY
    elif not _ours(value if isinstance(value, type) else type(value)):
        return
    if depth:
        for one in gc.get_referents(value):
            _within(one, depth - 1)


def _ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "gopark"


def _afterfork() -> None:
    _giveback(sys.modules)
    for name, module in list(sys.modules.items()):
        names = getattr(module, "__dict__", None)
        if type(names) is not dict:
            continue
        _giveback(names)
        depth = _DEPTH if name.partition(".")[0] == "gopark" else 0
        for value in list(names.values()):
            _within(value, depth)


if NEEDED and hasattr(os, "register_at_fork"):  # before all others, who may look something up
    os.register_at_fork(after_in_child=_afterfork)
