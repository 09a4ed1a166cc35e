"""The `panic:` lines of an exception: which others it came out of, and what became of each.

Go keeps a list of the panics of a goroutine. Python keeps of an exception the one that was
being handled when it was raised (`__context__`, `__cause__`) and the frames it has passed (its
traceback). From these the list is made, oldest first:

  raised again  each `raise` of an exception that has passed frames before leaves an entry in its
                traceback that stands at a raise instruction and is not the innermost one
  in between    Python cuts the ring when an exception is raised again out of one that came out
                of it. Handlers lie behind what they guard: so in a frame that both have passed,
                the one that passed it further down came later
  recovered     an `except` clause recovers; `finally` and `with` do not. Which of them ran when
                the next one was raised says the exception table of the frame that handled it

What cannot be told counts as recovered. A bare `raise` leaves no entry: it is no new panic, the
exception just passes on. So does one that our own code carries past C's frames (`carriers`).

Runs while a report is made, without locks of its own; may run without a P.
Source: Go 1.27 runtime/panic.go (printpanics). Tests: tests/runtime/test_printpanics.py
"""

from __future__ import annotations

import opcode
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Final, NamedTuple

from gopark._runtime.base.errors import BubbleDeadlockError, FatalError, Goexit, ProgramEnded
from gopark._runtime.base.printstring import indented, oneline
from gopark._runtime.report.traceback import before

__all__ = ("carriers", "infinally", "panictext", "pendingtext")

_RAISE: Final = opcode.opmap["RAISE_VARARGS"]
_HANDLER: Final = opcode.opmap["PUSH_EXC_INFO"]
_POP_TOP: Final = opcode.opmap["POP_TOP"]
_MATCHES: Final = (opcode.opmap["CHECK_EXC_MATCH"], opcode.opmap["CHECK_EG_MATCH"])
# What ends the first statement of a `finally` block, but is not part of `except EXPRESSION`.
_STATEMENT: Final = frozenset(
    code
    for name, code in opcode.opmap.items()
    if name.startswith(("POP_", "STORE_", "DELETE_", "RAISE", "RERAISE", "RETURN", "FOR_ITER"))
    or name.startswith(("SEND", "JUMP", "PUSH_EXC", "WITH_EXCEPT", "BEFORE_", "IMPORT"))
)

_MANY: Final = 10  # exceptions of a group that are shown
_DEEP: Final = 3

carriers: Final[set[CodeType]] = set()  # filled in by those modules


class _Unprintable(Exception):
    """An exception's own text raised."""


class _Raise(NamedTuple):
    """One time that an exception was raised: the frames it passed, outermost first, and where."""

    exc: BaseException
    where: dict[FrameType, int]


def panictext(exc: BaseException) -> tuple[str, str]:
    """The `panic:` lines of an exception and of those it came out of, oldest first.

    Also the last line alone, for the message of FatalError.
    """
    panics = _panics(exc)
    try:
        lines = _lines(panics, [])
    except _Unprintable as bad:
        line = f"fatal error: panic while printing panic value: {bad}"
        return line, line
    return "\n".join(line + notes for line, notes in lines), lines[-1][0].strip()


def pendingtext(exc: BaseException | None, frame: FrameType) -> str:
    """The same of an exception that is being handled where a fatal error strikes, if any.

    Args:
        exc: What `sys.exc_info` has.
        frame: Where the error strikes.
    """
    if exc is None or isinstance(exc, (Goexit, ProgramEnded, GeneratorExit)):
        return ""  # unwinding is no panic
    stack: dict[FrameType, int] = {}
    at: FrameType | None = frame
    while at is not None:
        stack[at] = at.f_lasti
        at = at.f_back
    try:
        lines = _lines(_panics(exc), [_Raise(FatalError(""), stack)])
        return "\n".join(line + notes for line, notes in lines) + "\n\t"
    except _Unprintable:
        return ""


def _lines(panics: list[_Raise], end: list[_Raise]) -> list[tuple[str, str]]:
    """The line of each, and its notes, on lines of their own."""
    lines: list[tuple[str, str]] = []
    every = panics + end
    for i, panic in enumerate(panics):
        if i and panics[i - 1].exc is panic.exc:
            continue  # raised again
        line = "\t" * min(i, 1) + "panic: " + _value(panic.exc)
        if i + 1 < len(every) and _recovered(every, i):
            again = every[i + 1].exc is panic.exc
            line += " [recovered, repanicked]" if again else " [recovered]"
        more = [*_notes(panic.exc), *_members(panic.exc)]
        lines.append((line, "".join(f"\n\t{text}" for text in more)))
    return lines


# --- what was raised, in order -----------------------------------------------------------------


def _panics(exc: BaseException) -> list[_Raise]:
    chain, seen = [exc], {id(exc)}
    while (older := before(chain[-1])) is not None and id(older) not in seen:
        chain.append(older)
        seen.add(id(older))
    panics: list[_Raise] = []
    for link in reversed(chain):
        *earlier, latest = _raises(link)
        for again in earlier:
            i = len(panics)
            while i and _later(panics[i - 1], again):
                i -= 1
            panics.insert(i, again)
        panics.append(latest)
    return panics


def _raises(exc: BaseException) -> list[_Raise]:
    """Each time that it was raised, the first one first."""
    found = [_Raise(exc, {})]
    tb = exc.__traceback__
    while tb is not None:
        frame, at = tb.tb_frame, tb.tb_lasti
        found[-1].where[frame] = at
        tb = tb.tb_next
        code = frame.f_code
        if tb is not None and code.co_code[at] == _RAISE and code not in carriers:
            found.append(_Raise(exc, {}))
    found.reverse()
    return found


def _later(panic: _Raise, other: _Raise) -> bool:
    return any(at > other.where[f] for f, at in panic.where.items() if f in other.where)


# --- what became of it ---------------------------------------------------------------------------


def _recovered(panics: list[_Raise], i: int) -> bool:
    """Whether an `except` clause had this panic when the next one was raised."""
    handled = next(iter(panics[i].where.items()), None)
    if handled is None:
        return True
    frame, at = handled
    for j in range(i + 1, len(panics)):
        if frame in panics[j].where:
            return _inexcept(frame.f_code, at, panics[j].where[frame])
    return True  # the frame that handled it went on, or has returned


def _inexcept(code: CodeType, raised: int, at: int) -> bool:
    """Of the handlers around `raised`, the one that `at` lies in is an `except` clause."""
    ops = code.co_code
    table = list(_exceptiontable(code))
    block = None
    target = _target(table, raised)
    while target is not None:
        if ops[target] == _HANDLER and target <= at:
            block = target if block is None else max(block, target)
        target = _target(table, target)
    return block is None or _isexcept(ops, block)


def _isexcept(ops: bytes, block: int) -> bool:
    """The handler at this offset is an `except` clause, not a `finally` or a `with`."""
    if ops[block + 2] == _POP_TOP:
        return True  # a bare `except:`
    for op in ops[block + 2 :: 2]:
        if op in _MATCHES:
            return True
        if op in _STATEMENT:
            return False
    return False


def infinally(code: CodeType, at: int) -> bool:
    """Here an exception passes through: a `finally` or a `with` block that it has led to."""
    if not code.co_exceptiontable:
        return False
    ops = code.co_code
    table = list(_exceptiontable(code))
    guards = set()  # handlers that would run if this place failed; it lies in none of them
    target = _target(table, at)
    while target is not None:
        # What cleans up behind a handler guards it from its first instruction on.
        block = next(start for start, _, to in table if to == target)
        if ops[target] == _HANDLER:
            guards.add(target)
        elif ops[block] == _HANDLER and block not in guards and not _isexcept(ops, block):
            return True
        target = _target(table, target)
    return False


def _target(table: list[tuple[int, int, int]], at: int) -> int | None:
    return next((target for start, end, target in table if start <= at < end), None)


def _exceptiontable(code: CodeType) -> Iterator[tuple[int, int, int]]:
    """Start, end and handler of each guarded stretch, as offsets into `co_code`.

    The format is CPython's, 3.11 and later: InternalDocs/exception_handling.md.
    """
    data = iter(code.co_exceptiontable)

    def number(byte: int) -> int:
        value = byte & 63
        while byte & 64:
            byte = next(data)
            value = value << 6 | byte & 63
        return value

    for byte in data:
        start, length, target, _ = number(byte), *(number(next(data)) for _ in range(3))
        yield 2 * start, 2 * (start + length), 2 * target


# --- how it reads --------------------------------------------------------------------------------


def _value(exc: BaseException) -> str:
    name = _typename(exc)
    try:
        text = indented(str(exc))
    except BaseException as oops:
        raise _Unprintable(_badvalue(oops)) from None
    return f"{name}: {text}" if text else name


def _notes(exc: BaseException) -> list[str]:
    """What `add_note` has put there; each line with a tab before it, as those of the value."""
    if isinstance(exc, BubbleDeadlockError):
        return []  # the stacks, which the report has anyway
    found = []
    try:
        notes = getattr(exc, "__notes__", ())
        for note in notes if isinstance(notes, (list, tuple)) else [notes]:
            found.append(indented(str(note)))
    except BaseException as oops:
        found.append(f"<a note cannot be printed: {_badvalue(oops)}>")
    return found


def _members(exc: BaseException, deep: int = 0) -> list[str]:
    """What a group is of, a line each; those of a group in it with one more tab."""
    if not isinstance(exc, BaseExceptionGroup) or deep > _DEEP:
        return []
    found = []
    for one in exc.exceptions[:_MANY]:
        try:
            text = _value(one)
        except _Unprintable as bad:
            text = f"{_typename(one)}: <it cannot be printed: {bad}>"
        found += [text.replace("\n", "\n\t"), *(f"\t{text}" for text in _members(one, deep + 1))]
    if len(exc.exceptions) > _MANY:
        found.append(f"... and {len(exc.exceptions) - _MANY:,} more")
    return found


def _typename(exc: BaseException) -> str:
    name = oneline(type(exc).__qualname__.replace(".<locals>", ""))
    if type(exc).__module__ in ("builtins", "__main__"):
        return name
    return f"{oneline(str(type(exc).__module__))}.{name}"


def _badvalue(oops: BaseException) -> str:
    """What an exception's own text raised. Go prints the text of a string, else the type."""
    try:
        text = indented(str(oops))
    except BaseException:
        text = ""
    main = "main." if type(oops).__module__ == "__main__" else ""
    return text or f"type {main}{_typename(oops)}"
