"""Map: a dictionary for many goroutines.

Reading takes no lock: a look-up in a `dict` is atomic as far as the dictionary goes, whatever
the keys' own `__eq__` may do. What changes it takes `_lock`, so that the operations that look
first and write then are one step. That lock is reentrant, for a key's or a value's `__eq__`
runs under it, and may use the map itself; it blocks the thread, for no goroutine ever waits while
it has it. What is replaced is dropped after that, for its finaliser may use another map.

Source: Go 1.27 sync/map.go, internal/sync/hashtriemap.go. Tests: tests/sync/test_map.py
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Final, Generic, TypeVar

from gopark.sync._common import nocopy

__all__ = ("Map",)

K = TypeVar("K")
V = TypeVar("V")

_ABSENT: Final[Any] = object()


class Map(Generic[K, V]):
    """A dictionary that goroutines may use at the same time, each operation in one step.

    Example:
        >>> ages = gopark.sync.Map()
        >>> ages.store("gopher", 15)
        >>> ages.load("gopher")
        (15, True)
        >>> ages.load("python")
        (None, False)

    Go: sync.Map.
    """

    __slots__ = ("__weakref__", "_data", "_lock")

    def __init__(self) -> None:
        self._data: dict[K, V] = {}
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<Map of {len(self._data)} at {id(self):#x}>"

    __reduce_ex__ = nocopy

    def load(self, key: K) -> tuple[V | None, bool]:
        """The value stored for a key, and whether there is one.

        Example:
            >>> gopark.sync.Map().load("key")
            (None, False)

        Go: sync.Map.Load.
        """
        value = self._data.get(key, _ABSENT)
        return (None, False) if value is _ABSENT else (value, True)

    def store(self, key: K, value: V) -> None:
        """Set the value for a key.

        Example:
            >>> m = gopark.sync.Map()
            >>> m.store("key", 1)

        Go: sync.Map.Store.
        """
        self.swap(key, value)

    def load_or_store(self, key: K, value: V) -> tuple[V, bool]:
        """The value that is there, and True; if there is none, `value` is stored, and False.

        Example:
            >>> m = gopark.sync.Map()
            >>> m.load_or_store("key", 1), m.load_or_store("key", 2)
            ((1, False), (1, True))

        Go: sync.Map.LoadOrStore.
        """
        with self._lock:
            found = self._data.get(key, _ABSENT)
            if found is not _ABSENT:
                return found, True
            self._data[key] = value
            return value, False

    def load_and_delete(self, key: K) -> tuple[V | None, bool]:
        """Delete a key: the value that it had, and whether it had one.

        Example:
            >>> m = gopark.sync.Map()
            >>> m.store("key", 1)
            >>> m.load_and_delete("key"), m.load_and_delete("key")
            ((1, True), (None, False))

        Go: sync.Map.LoadAndDelete.
        """
        with self._lock:
            value = self._data.pop(key, _ABSENT)
        return (None, False) if value is _ABSENT else (value, True)

    def delete(self, key: K) -> None:
        """Delete a key; one that is not there is no error.

        Example:
            >>> gopark.sync.Map().delete("key")

        Go: sync.Map.Delete.
        """
        self.load_and_delete(key)

    def swap(self, key: K, value: V) -> tuple[V | None, bool]:
        """Set the value for a key: the value that it had, and whether it had one.

        Example:
            >>> m = gopark.sync.Map()
            >>> m.swap("key", 1), m.swap("key", 2)
            ((None, False), (1, True))

        Go: sync.Map.Swap.
        """
        with self._lock:
            before = self._data.get(key, _ABSENT)
            self._data[key] = value
        return (None, False) if before is _ABSENT else (before, True)

    def compare_and_swap(self, key: K, old: V, new: V) -> bool:
        """Set the value for a key if it has one that equals `old`: whether it was set.

        Example:
            >>> m = gopark.sync.Map()
            >>> m.store("key", 1)
            >>> m.compare_and_swap("key", 1, 2), m.compare_and_swap("key", 1, 3)
            (True, False)

        Go: sync.Map.CompareAndSwap.
        """
        with self._lock:
            if swapped := self._holds(key, old):
                _before = self._data.get(key)
                self._data[key] = new
        return swapped

    def compare_and_delete(self, key: K, old: V) -> bool:
        """Delete a key if it has a value that equals `old`: whether it was deleted.

        Example:
            >>> m = gopark.sync.Map()
            >>> m.store("key", 1)
            >>> m.compare_and_delete("key", 2), m.compare_and_delete("key", 1)
            (False, True)

        Go: sync.Map.CompareAndDelete.
        """
        with self._lock:
            if deleted := self._holds(key, old):
                _before = self._data.pop(key, None)
        return deleted

    def _holds(self, key: K, old: V) -> bool:
        value = self._data.get(key, _ABSENT)
        return value is not _ABSENT and (value is old or bool(value == old))

    def range(self) -> Iterator[tuple[K, V]]:
        """Iterate over keys and values; the map may change meanwhile, by the loop itself too.

        Each key that is there from the beginning to the end comes exactly once, with a value
        that it had meanwhile; one that comes or goes may be met or not.

        Example:
            >>> m = gopark.sync.Map()
            >>> m.store("a", 1), m.store("b", 2)
            (None, None)
            >>> for key, value in m.range():
            ...     m.delete(key)
            >>> m.load("b")
            (None, False)

        Go: sync.Map.Range.
        """
        # Relies on: list() of a dictionary is one step.
        for key in list(self._data):
            value = self._data.get(key, _ABSENT)
            if value is not _ABSENT:
                yield key, value

    def clear(self) -> None:
        """Delete every key.

        Example:
            >>> gopark.sync.Map().clear()

        Go: sync.Map.Clear.
        """
        with self._lock:
            before = self._data.copy()
            self._data.clear()
        before.clear()
