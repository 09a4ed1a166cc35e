"""What a callback gives back: can C take it, and which exceptions are for who called?

ctypes and cffi convert what the function returned once that is over, when nobody can be told: they
print "Exception ignored", and with ctypes C gets what lay in that register. So:

  the prototype is known     `export`, `callback(restype=...)`. The result is tried before it is
                             handed over; one that C cannot take is an exception of the callback,
                             and C gets `error` as with any other.
  it is not known            `CFUNCTYPE(...)(callback(fn))`, `ffi.callback(...)`. The binding tells
                             `sys.unraisablehook` (unraisable.py), on that thread and before C goes
                             on; from there it is made an exception of the callback as well, and
                             what that callback returns from then on is tried. This once C got
                             what the binding gave it: cffi its own `error=`, ctypes anything.

An integer must fit into the bits that C has, read with a sign or without: ctypes cuts off what
does not, in silence. The address of what ctypes makes of `bytes` (`c_char_p`) stays valid, since
ctypes never frees it.

Locks: none. Source: none in Go, whose compiler knows. Tests: tests/runtime/test_cgoresult.py
"""

from __future__ import annotations

import ctypes
import gc
import inspect
import operator
import re
import reprlib
import weakref
from collections.abc import Callable
from types import EllipsisType
from typing import Any, Final, NamedTuple, NoReturn, cast

from gopark._runtime.base.errors import Goexit, ProgramEnded, Throw
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.unraisable import look
from gopark._runtime.report.traceback import transparent

__all__ = (
    "UNWINDS",
    "Passes",
    "Restype",
    "Result",
    "checkerror",
    "classes",
    "doors",
    "passed",
    "passing",
    "resultof",
    "trying",
    "watch",
)

Restype = type[Any] | EllipsisType | None  # of a prototype; an ellipsis if nobody has told

_INTEGERS: Final = frozenset("bBhHiIlLqQP")
_FLOATS: Final = frozenset("fdg")
_SIMPLE: Final = ctypes.c_int.__mro__[1]
_CFuncPtr: Final = ctypes.CFUNCTYPE(None).__mro__[1]
_INF: Final = float("inf")
_SMALL: Final = (1 << 30) - 1
_TRIED: Final = "<tried>"
_NOCOLUMNS: Final = 13  # in a table of positions: CPython, InternalDocs/code_objects.md


class Result(NamedTuple):
    """How results are tried: one of this very type between the two needs no more."""

    restype: type[Any]
    kind: type[Any]
    low: Any
    high: Any
    check: Callable[[Any], Any]  # for all others: returns what C can take, or raises
    zero: Any  # what C gets if nobody says something else


class _Nothing:
    """No result is of this type."""


def resultof(who: str, fn: Callable[..., Any], restype: Restype) -> Result | None:
    """How to try what `fn` gives C; None if C takes anything, or nobody has told.

    Raises TypeError, naming `who` was called, if C cannot get such a thing from Python at all.
    """
    if restype is None or restype is ...:
        return None
    simple: Any = restype
    if not (isinstance(restype, type) and issubclass(restype, _SIMPLE)):
        raise TypeError(
            f"{who}(): no function of Python can return {shown(restype)} to C: ctypes has the "
            "simple types for that, as c_int; for a pointer say c_void_p and return the address"
        )
    code, bits = simple._type_, 8 * ctypes.sizeof(simple)
    if code == "O":
        return None
    if code in _INTEGERS:
        low, high = -1 << bits - 1, (1 << bits) - 1
        check = _checker(fn, restype)
        if bits <= 32:  # compared with small numbers, an integer costs half
            low, high = max(low, -_SMALL), min(high, _SMALL)
        return Result(restype, int, low, high, check, 0)
    check = _checker(fn, restype)
    if code in _FLOATS:
        return Result(restype, float, -_INF, _INF, check, 0)
    return Result(restype, _Nothing, None, None, check, "\0" if code == "u" else 0)


def _take(restype: Any, value: Any) -> Any:
    """`value`, which C can take as that; else an exception says why it cannot."""
    restype(value)
    if restype._type_ in _INTEGERS and value is not None:
        bits = 8 * ctypes.sizeof(restype)
        if not -1 << bits - 1 <= operator.index(value) < 1 << bits:
            raise OverflowError(f"it has {bits} bits")
    return value


def _checker(fn: Callable[..., Any], restype: type[Any]) -> Callable[[Any], Any]:
    def check(result: Any) -> Any:
        try:
            return _take(restype, result)
        except Exception as exc:
            what = f"{reprlib.repr(result)}, which C cannot take as {restype.__name__}: {exc}"
            cls = OverflowError if isinstance(exc, OverflowError) else TypeError
        raiseas(fn, cls(f"{nameof(fn)}() returned {what}"))

    return check


def checkerror(who: str, how: Result, error: Any) -> None:
    """Raise TypeError unless C can take this instead of a result."""
    try:
        _take(how.restype, error)
    except (TypeError, ValueError, OverflowError) as exc:
        raise TypeError(
            f"{who}(): C cannot take error={shown(error)} as {how.restype.__name__}: {exc}"
        ) from None


def trying(run: Callable[..., Any], check: Callable[[Any], Any]) -> Callable[..., Any]:
    """`run`, whose result has been tried."""

    def tried(*args: Any) -> Any:
        return check(run(*args))

    tried.__name__, tried.__qualname__ = _TRIED, nameof(run)
    return tried


def nameof(fn: object) -> str:
    return getattr(fn, "__qualname__", None) or reprlib.repr(fn)


def raiseas(fn: Any, exc: Exception) -> NoReturn:
    """Raise it where `fn` is defined: that has returned, and reports would show no frame at all."""
    inner = inspect.unwrap(getattr(fn, "func", fn))
    code = getattr(getattr(inner, "__func__", inner), "__code__", None)
    if code is not None:
        body = compile("raise excs.pop()", code.co_filename, "exec")
        # Without columns: they would be those of another text than the line that is shown.
        units = len(body.co_code) // 2
        table = b"".join(
            bytes((0x80 | _NOCOLUMNS << 3 | min(8, units - at) - 1, 0)) for at in range(0, units, 8)
        )
        body = body.replace(
            co_name=code.co_name,
            co_qualname=code.co_qualname,
            co_firstlineno=code.co_firstlineno,
            co_linetable=table,
        )
        exec(body, {"__name__": getattr(inner, "__module__", "?"), "excs": [exc]})  # no cycle
    raise exc


# --- exceptions that are for who called ------------------------------------------------------


Passes = type[BaseException] | tuple[type[BaseException], ...]

UNWINDS: Final = (Goexit, ProgramEnded, GeneratorExit, Throw)  # never for who called


def classes(who: str, passes: Any) -> tuple[type[BaseException], ...]:
    found = passes if isinstance(passes, tuple) else (passes,)
    if not all(isinstance(cls, type) and issubclass(cls, BaseException) for cls in found):
        raise TypeError(
            f"{who}() needs a tuple of exception classes as passes, got {shown(passes)}"
        )
    return found


class _Passed:
    """An exception that is for the caller, on its way out through ours."""

    __slots__ = ("exc",)

    def __init__(self, exc: BaseException) -> None:
        self.exc = [exc]


def passing(run: Callable[..., Any], passes: tuple[type[BaseException], ...]) -> Callable[..., Any]:
    """`run`, with what passes in the place of a result."""

    def caught(*args: Any) -> Any:
        try:
            return run(*args)
        except UNWINDS:
            raise
        except passes as exc:
            return _Passed(exc)

    caught.__qualname__ = nameof(run)
    return caught


def passed(result: Any) -> Any:
    if type(result) is _Passed:
        raise result.exc.pop()  # nothing here refers to it any more: no cycle
    return result


# Each calls the user's code, holding nothing.
transparent.update(
    (
        trying(nameof, nameof).__code__,
        passing(nameof, ()).__code__,
        _checker(nameof, ctypes.c_int).__code__,
        _take.__code__,
    )
)


# --- where nobody has told the prototype ---------------------------------------------------------


class _Doors:
    """Set by cgocall.py."""

    fail: Callable[[Callable[[], NoReturn]], object]  # a callback on this thread does this


doors: Final = _Doors()


_CONVERTING: Final = re.compile(
    r"(on|while) converting result of ctypes callback function"  # 3.15: while
    r"|from cffi callback .*convert the result"
)
_ADDRESS: Final = re.compile(r" at 0x([0-9a-f]+)>")
_NOTVOID: Final = "callback with the return type 'void'"  # cffi: nothing is lost

# Callbacks whose prototype nobody has told, by identity. Each has its function as an attribute: a
# method whose object keeps the callback would otherwise be kept from here for ever, with both.
_watched: Final[dict[int, weakref.ref[Any]]] = {}
_FN: Final = "_gopark_fn"


def watch(entry: Callable[..., Any], fn: Callable[..., Any]) -> None:
    """Be told if C cannot take what `entry` returns for `fn`."""
    key = id(entry)
    vars(entry)[_FN] = fn
    _watched[key] = weakref.ref(entry, lambda _: _watched.pop(key, None))
    look(_refused)


def _refused(args: Any) -> Callable[[], object] | None:
    """For unraisable.py: what becomes of a result that C could not take."""
    entry = _callbackof(args)
    if entry is None:
        return None
    prototypes = _prototypes(entry)
    return lambda: _fail(entry, prototypes, args)


def _fail(entry: Any, prototypes: list[Result], args: Any) -> None:
    if len(prototypes) == 1:
        _learn(entry, prototypes[0])
    exc = args.exc_value or args.exc_type()
    cls = OverflowError if isinstance(exc, OverflowError) else TypeError
    fn = vars(entry)[_FN]
    err = cls(f"{nameof(fn)}() returned what C cannot take: {exc}")
    doors.fail(lambda: raiseas(fn, err))


def _callbackof(args: Any) -> Any:
    """Which callback of ours the binding could not convert the result of."""
    text = args.err_msg or ""
    exc = args.exc_value
    if not _CONVERTING.search(text) or isinstance(exc, Warning) or str(exc).startswith(_NOTVOID):
        return None
    key = id(args.object)
    if args.object is None:  # the text alone says which
        address = _ADDRESS.search(text)
        key = int(address[1], 16) if address else 0
    ref = _watched.get(key)
    return None if ref is None else ref()


def _learn(entry: Any, how: Result) -> None:
    """The prototype of a callback is known now: what it returns from here on is tried."""
    for name, cell in zip(entry.__code__.co_freevars, entry.__closure__, strict=True):
        if (
            name == "run" and getattr(cell.cell_contents, "__name__", "") != _TRIED
        ):  # else another thread has
            cell.cell_contents = trying(cell.cell_contents, how.check)


def _prototypes(entry: Any) -> list[Result]:
    """What function pointers of ctypes the callback is in; a search through all objects."""
    restypes = {
        cast("Any", type(pointer))._restype_
        for pointer in gc.get_referrers(entry)
        if isinstance(pointer, _CFuncPtr)
    }
    found = (resultof("callback", vars(entry)[_FN], restype) for restype in restypes)
    return [result for result in found if result is not None]
