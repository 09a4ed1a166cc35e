"""Handles: numbers that stand for Python values while those travel through C.

C cannot keep a Python object alive, and a pointer to one that C has kept too long crashes.
A number that is looked up when it comes back does neither.

Invariant: a number is given out once. One that was deleted never stands for another value.

Relies on: `dict` item store, lookup and `pop`, and `next` of a count, are atomic.
Source: Go 1.27 runtime/cgo/handle.go. Tests: tests/conformance/cgo/test_handle.py
"""

from __future__ import annotations

import itertools
from typing import Any, Final, NoReturn

from gopark._runtime.base.printstring import shown

__all__ = ("Handle", "new_handle")

_values: Final[dict[int, Any]] = {}
_numbers = itertools.count(1)  # C may take 0 for nothing


class Handle(int):
    """The number of a value, for C to carry; `new_handle` gives them out.

    It is an `int` that fits into a `void *` or a `uintptr_t`. What C hands back becomes a
    handle again by `Handle(number)`.

    Example:
        >>> h = gopark.cgo.new_handle(["any", "value"])
        >>> number = int(h)  # by way of C
        >>> gopark.cgo.Handle(number).value()
        ['any', 'value']
        >>> h.delete()

    Go: runtime/cgo.Handle.
    """

    __slots__ = ()

    def __new__(cls, number: int) -> Handle:
        if not isinstance(number, int):
            null = ", which is NULL in C" if number is None else ""
            raise TypeError(
                f"Handle() needs the number that new_handle gave out, got {shown(number)}{null}"
            )
        return super().__new__(cls, number)

    def value(self) -> Any:
        """The value that the handle was made for.

        Raises:
            ValueError: the handle was never given out, or has been deleted.
        Example:
            >>> h = gopark.cgo.new_handle("text")
            >>> h.value()
            'text'
            >>> h.delete()

        Go: runtime/cgo.Handle.Value.
        """
        try:
            return _values[self]
        except KeyError:
            raise self._invalid() from None

    def delete(self) -> None:
        """Let go of the value. Do it once, when C has no copy of the number any more.

        Raises:
            ValueError: the handle was never given out, or has been deleted.
        Example:
            >>> h = gopark.cgo.new_handle("text")
            >>> h.delete()

        Go: runtime/cgo.Handle.Delete.
        """
        try:
            del _values[self]
        except KeyError:
            raise self._invalid() from None

    def __copy__(self) -> Handle:
        return self

    def __deepcopy__(self, memo: object) -> Handle:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            f"cannot pickle {shown(self)}: in another process the number stands for nothing, or "
            "for another value"
        )

    def _invalid(self) -> ValueError:
        return ValueError(
            f"runtime/cgo: misuse of an invalid Handle: {int(self)} was never given out by "
            "new_handle, or has been deleted"
        )

    def __repr__(self) -> str:
        return f"Handle({int(self)})"


def new_handle(value: object) -> Handle:
    """A number that stands for `value` until it is deleted, and keeps it alive till then.

    Args:
        value: Anything. The same value twice gives two handles.
    Returns:
        A handle, to be passed to C and looked up when it comes back.
    Example:
        >>> h = gopark.cgo.new_handle(42)
        >>> h.value()
        42
        >>> h.delete()

    Go: runtime/cgo.NewHandle.
    """
    handle = Handle(next(_numbers))
    _values[handle] = value
    return handle
