"""Pool: things to be used again, which the collector may drop.

As in Go, what lies unused through two collections is gone: at each full one the pool's stock
becomes its victims, and the victims of the last time are dropped; `get` looks at both. One
stock for all, and not one per P: a pop or an append of a deque is cheaper than finding out
which P this is.

Relies on: pop and append of a deque, add and discard of a set being atomic. There is no lock,
for the collector may run in the middle of anything.
Source: Go 1.27 sync/pool.go. Left out: per-P stocks, stealing. Tests: tests/sync/test_pool.py
"""

from __future__ import annotations

import gc
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import FREETHREADED
from gopark._runtime.report.traceback import transparent
from gopark.sync._common import nocopy

__all__ = ("Pool",)

T = TypeVar("T")

_FULL: Final = 2  # the oldest generation of the collector


class Pool(Generic[T]):
    """A stock of things that are dear to make: take one with `get`, give it back with `put`.

    Any of them may be dropped by the collector while it is in the pool, so a pool never
    grows for good, and it is no place for what must be closed.

    Args:
        new: Makes one where the pool is empty. Without it `get` then returns None.
    Raises:
        TypeError: `new` is neither a function nor None.
    Example:
        >>> buffers = gopark.sync.Pool(bytearray)
        >>> buffer = buffers.get()
        >>> buffer += b"text"
        >>> buffer.clear()
        >>> buffers.put(buffer)
        >>> buffers.get() is buffer
        True

    Go: sync.Pool.
    """

    __slots__ = ("__weakref__", "_stock", "_victims", "new")

    new: Callable[[], T] | None

    def __init__(self, new: Callable[[], T] | None = None) -> None:
        if new is not None and not callable(new):
            raise TypeError(f"Pool: new must be a function that makes one, got {shown(new)}")
        self.new = new
        self._stock: deque[T] = deque()
        self._victims: deque[T] = deque()
        _pools.add(weakref.ref(self, _pools.discard))
        if _collected not in gc.callbacks:  # a program without a pool is not to pay for it
            gc.callbacks.append(_collected)

    def __repr__(self) -> str:
        return f"<Pool of {len(self._stock) + len(self._victims)} at {id(self):#x}>"

    __reduce_ex__ = nocopy

    def get(self) -> T | None:
        """Take something out of the pool, else make it; None without `new`.

        Returns:
            Any of what was put there, the last one first, and nobody else gets it.
        Example:
            >>> gopark.sync.Pool(list).get()
            []

        Go: sync.Pool.Get.
        """
        try:
            return self._stock.pop()
        except IndexError:
            pass
        try:
            return self._victims.pop()
        except IndexError:
            return None if self.new is None else self.new()

    def put(self, value: T | None) -> None:
        """Give something to the pool. None is nothing.

        Example:
            >>> pool = gopark.sync.Pool()
            >>> pool.put("used")
            >>> pool.get(), pool.get()
            ('used', None)

        Go: sync.Pool.Put.
        """
        if value is not None:
            self._stock.append(value)

    def _age(self) -> None:
        self._victims = self._stock
        self._stock = deque()


_pools: Final[set[weakref.ref[Pool[Any]]]] = set()


def _collected(phase: str, info: dict[str, int]) -> None:
    """Called by the collector. Go: poolCleanup."""
    # Without the GIL every collection is of everything.
    if phase == "start" and (FREETHREADED or info["generation"] == _FULL):
        for ref in _pools.copy():
            pool = ref()
            if pool is not None:
                pool._age()


transparent.add(Pool.get.__code__)
