"""What `gopark.sync.atomic` gathers: integers, booleans, references and values.

Reading takes no lock. Relies on: one attribute load or store is atomic, and what a thread
wrote before a store is seen by who loads what it stored. Whatever changes a value takes the
lock of the object, for a line or two that call nothing and loop nowhere: there the
interpreter runs no collection and no signal handler, so a finaliser or a handler may use the
very object whose owner it came upon. For the same reason values are compared before, and
what was compared is recognised by its identity.

Source: Go 1.27 sync/atomic/type.go, value.go. Left out: functions on addresses, uintptr.
Tests: tests/sync/test_atomic.py
"""

from __future__ import annotations

import threading
from typing import ClassVar, Generic, TypeVar

from gopark._runtime.base.printstring import shown
from gopark.sync._common import nocopy

__all__ = ("Bool", "Int32", "Int64", "Pointer", "Uint32", "Uint64", "Value")

T = TypeVar("T")


class _Cell(Generic[T]):
    """A value and the lock that is held while it changes."""

    __slots__ = ("__weakref__", "_lock", "_value")

    def __init__(self, value: T) -> None:
        self._lock = threading.RLock()  # a finalizer may come in amid an operation
        self._value = value

    def __repr__(self) -> str:
        return f"<atomic.{type(self).__name__} {self._value!r} at {id(self):#x}>"

    __reduce_ex__ = nocopy


class _Integer(_Cell[int]):
    """An integer of so many bits, which wraps around as in Go."""

    __slots__ = ()

    _low: ClassVar[int]  # the least value
    _mask: ClassVar[int]

    def __init__(self, value: int = 0) -> None:
        super().__init__(self._wrapped(value))

    def _wrapped(self, value: int) -> int:
        if not isinstance(value, int):
            raise TypeError(f"atomic.{type(self).__name__} holds integers, got {shown(value)}")
        return ((value - self._low) & self._mask) + self._low

    def load(self) -> int:
        """The value now."""
        return self._value

    def store(self, value: int) -> None:
        """Set the value."""
        new = self._wrapped(value)
        with self._lock:
            self._value = new

    def swap(self, new: int) -> int:
        """Set the value; the one before."""
        new = self._wrapped(new)
        with self._lock:
            old, self._value = self._value, new
        return old

    def compare_and_swap(self, old: int, new: int) -> bool:
        """Set the value if it is `old`: whether it was set."""
        old, new = self._wrapped(old), self._wrapped(new)
        with self._lock:
            if swapped := self._value == old:
                self._value = new
        return swapped

    def add(self, delta: int) -> int:
        """Add to the value; the one after."""
        low, mask, delta = self._low, self._mask, self._wrapped(delta)
        with self._lock:
            new = self._value = ((self._value + delta - low) & mask) + low
        return new

    def and_(self, mask: int) -> int:
        """Keep the bits that `mask` has; the value before."""
        mask = self._wrapped(mask)
        with self._lock:
            old = self._value
            self._value = old & mask
        return old

    def or_(self, mask: int) -> int:
        """Set the bits that `mask` has; the value before."""
        mask = self._wrapped(mask)
        with self._lock:
            old = self._value
            self._value = old | mask
        return old


class Int32(_Integer):
    """A 32-bit integer, with `load store swap compare_and_swap add and_ or_`. It wraps around.

    `add` returns the new value, `swap`, `and_` and `or_` the one before.

    Args:
        value: What it begins with.
    Raises:
        TypeError: it is not an integer.
    Example:
        >>> n = gopark.sync.atomic.Int32(2**31 - 1)
        >>> n.add(1)
        -2147483648

    Go: atomic.Int32.
    """

    __slots__ = ()
    _low = -(1 << 31)
    _mask = (1 << 32) - 1


class Int64(_Integer):
    """A 64-bit integer, with `load store swap compare_and_swap add and_ or_`. It wraps around.

    Args:
        value: What it begins with.
    Raises:
        TypeError: it is not an integer.
    Example:
        >>> hits = gopark.sync.atomic.Int64()
        >>> hits.add(1), hits.add(1), hits.load()
        (1, 2, 2)

    Go: atomic.Int64.
    """

    __slots__ = ()
    _low = -(1 << 63)
    _mask = (1 << 64) - 1


class Uint32(_Integer):
    """A 32-bit integer without a sign, with the operations of `Int32`. It wraps around.

    Args:
        value: What it begins with.
    Raises:
        TypeError: it is not an integer.
    Example:
        >>> n = gopark.sync.atomic.Uint32()
        >>> n.add(-1)
        4294967295

    Go: atomic.Uint32.
    """

    __slots__ = ()
    _low = 0
    _mask = (1 << 32) - 1


class Uint64(_Integer):
    """A 64-bit integer without a sign, with the operations of `Int64`. It wraps around.

    Args:
        value: What it begins with.
    Raises:
        TypeError: it is not an integer.
    Example:
        >>> flags = gopark.sync.atomic.Uint64(0b0101)
        >>> flags.or_(0b0010), flags.and_(0b0011), flags.load()
        (5, 7, 3)

    Go: atomic.Uint64.
    """

    __slots__ = ()
    _low = 0
    _mask = (1 << 64) - 1


class Bool(_Cell[bool]):
    """True or False, with `load store swap compare_and_swap`.

    Args:
        value: What it begins with.
    Example:
        >>> closed = gopark.sync.atomic.Bool()
        >>> closed.compare_and_swap(False, True), closed.compare_and_swap(False, True)
        (True, False)

    Go: atomic.Bool.
    """

    __slots__ = ()

    def __init__(self, value: bool = False) -> None:
        super().__init__(bool(value))

    def load(self) -> bool:
        """The value now.

        Example:
            >>> gopark.sync.atomic.Bool().load()
            False

        Go: atomic.Bool.Load.
        """
        return self._value

    def store(self, value: bool) -> None:
        """Set the value.

        Example:
            >>> gopark.sync.atomic.Bool().store(True)

        Go: atomic.Bool.Store.
        """
        self.swap(value)

    def swap(self, new: bool) -> bool:
        """Set the value; the one before.

        Example:
            >>> gopark.sync.atomic.Bool().swap(True)
            False

        Go: atomic.Bool.Swap.
        """
        value = bool(new)
        with self._lock:
            old, self._value = self._value, value
        return old

    def compare_and_swap(self, old: bool, new: bool) -> bool:
        """Set the value if it is `old`: whether it was set.

        Example:
            >>> gopark.sync.atomic.Bool().compare_and_swap(True, False)
            False

        Go: atomic.Bool.CompareAndSwap.
        """
        before, value = bool(old), bool(new)
        with self._lock:
            if swapped := self._value is before:
                self._value = value
        return swapped


class Pointer(_Cell[T | None]):
    """A reference to an object or to None, compared by identity.

    Args:
        value: What it begins with.
    Example:
        >>> config = gopark.sync.atomic.Pointer[dict]()
        >>> config.store({"debug": True})
        >>> config.load()
        {'debug': True}

    Go: atomic.Pointer.
    """

    __slots__ = ()

    def __init__(self, value: T | None = None) -> None:
        super().__init__(value)

    def load(self) -> T | None:
        """What it refers to now.

        Example:
            >>> gopark.sync.atomic.Pointer("a").load()
            'a'

        Go: atomic.Pointer.Load.
        """
        return self._value

    def store(self, value: T | None) -> None:
        """Have it refer to something else.

        Example:
            >>> gopark.sync.atomic.Pointer().store("a")

        Go: atomic.Pointer.Store.
        """
        self.swap(value)

    def swap(self, new: T | None) -> T | None:
        """Have it refer to something else; what it referred to before.

        Example:
            >>> gopark.sync.atomic.Pointer("a").swap("b")
            'a'

        Go: atomic.Pointer.Swap.
        """
        with self._lock:
            old, self._value = self._value, new
        return old

    def compare_and_swap(self, old: T | None, new: T | None) -> bool:
        """Have it refer to `new` if it refers to the very object `old`: whether it did.

        Example:
            >>> gopark.sync.atomic.Pointer().compare_and_swap(None, "a")
            True

        Go: atomic.Pointer.CompareAndSwap.
        """
        with self._lock:
            if swapped := self._value is old:
                self._value = new
        return swapped  # `old` is freed later, if that was its last reference


class Value(_Cell[T | None]):
    """A value that is replaced as a whole, always by one of the same type. At first it is None.

    Args:
        value: What it begins with; None: nothing yet.
    Example:
        >>> config = gopark.sync.atomic.Value[dict]()
        >>> config.load()
        >>> config.store({"debug": True})
        >>> config.load()
        {'debug': True}

    Go: atomic.Value.
    """

    __slots__ = ()

    def __init__(self, value: T | None = None) -> None:
        super().__init__(value)

    def load(self) -> T | None:
        """The value now, None before the first one.

        Example:
            >>> gopark.sync.atomic.Value(1).load()
            1

        Go: atomic.Value.Load.
        """
        return self._value

    def store(self, value: T) -> None:
        """Set the value.

        Raises:
            TypeError: it is None, or of another type than the one before.
        Example:
            >>> gopark.sync.atomic.Value().store("a")

        Go: atomic.Value.Store.
        """
        self._change("store", value)

    def swap(self, new: T) -> T | None:
        """Set the value; the one before, None if there was none.

        Raises:
            TypeError: it is None, or of another type than the one before.
        Example:
            >>> gopark.sync.atomic.Value("a").swap("b")
            'a'

        Go: atomic.Value.Swap.
        """
        return self._change("swap", new)

    def _change(self, what: str, new: T) -> T | None:
        if new is None:
            raise TypeError(f"sync/atomic: {what} of nil value into Value")
        while True:
            old = self._value
            if old is not None and type(old) is not type(new):
                raise TypeError(f"sync/atomic: {what} of inconsistently typed value into Value")
            with self._lock:
                if changed := self._value is old:
                    self._value = new
            if changed:
                return old

    def compare_and_swap(self, old: T | None, new: T) -> bool:
        """Set the value if it equals `old`: whether it was set. None: if there was none.

        Raises:
            TypeError: `new` is None, or the types differ.
        Example:
            >>> value = gopark.sync.atomic.Value()
            >>> value.compare_and_swap(None, 1), value.compare_and_swap(1, 2), value.load()
            (True, True, 2)

        Go: atomic.Value.CompareAndSwap.
        """
        if new is None:
            raise TypeError("sync/atomic: compare and swap of nil value into Value")
        if old is not None and type(old) is not type(new):
            raise TypeError("sync/atomic: compare and swap of inconsistently typed values")
        while True:
            now = self._value
            if now is not None and type(now) is not type(new):
                raise TypeError(
                    "sync/atomic: compare and swap of inconsistently typed value into Value"
                )
            if now is not old and (now is None or old is None or now != old):
                return False
            with self._lock:
                if changed := self._value is now:
                    self._value = new
            if changed:
                return True
