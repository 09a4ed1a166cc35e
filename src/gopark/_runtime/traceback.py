"""Stacks in Go's printed form, for goroutines of all kinds and in every state.

Where the frames of a G are:
  parked coroutine              its chain of awaits (`cr_await`), each with its own frame
  on a thread                   that thread's frames, down to the loop or the callback's entry
  (running, in C, or parked     (the frames of an inner await, and those of the Python code
  in `block`)                   that called the C code that called back, are in between)

Strict readers of this form exist (gostackparse, goleak): a header holds nothing but the
status or wait reason, minutes and `locked to thread`; a function line one pair of
parentheses; a file line a tab and `:digits`. Frames of this package do not show.

Nothing here takes a lock: a dump is a copy of `allgs`, formatted at leisure. A G that moves
on meanwhile is shown as it was at some moment of the dump.

Without the GIL frames may be read only while nobody runs them. A parked coroutine is kept
from being woken meanwhile (`Waiter.frozen`), one that waits on a thread has left a note there
(`M.frames`), and for one that runs, or is about to, Go's own words say that there is no stack.

Source: Go 1.27 runtime/traceback.go, mprof.go (Stack). Tests: tests/runtime/test_traceback.py
"""

from __future__ import annotations

import gc
import os
import sys
from time import monotonic
from types import (
    AsyncGeneratorType,
    CodeType,
    CoroutineType,
    FrameType,
    GeneratorType,
    TracebackType,
)
from typing import Any, Final

from gopark._runtime.runtime2 import (
    FREETHREADED,
    GDEAD,
    GRUNNING,
    GSYSCALL,
    GWAITING,
    G,
    M,
    Status,
    allgs,
    callers,
    currentframes,
    getg,
    tls,
)

__all__ = (
    "boundary",
    "callback_entry",
    "excstack",
    "funcname",
    "gtraceback",
    "num_goroutine",
    "recordframes",
    "stack",
    "threadstates",
    "tracebackothers",
)

_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_MAXFRAMES: Final = 100  # as Go: the first and the last 50 of a deeper stack

# Code below which a thread's frames are not the goroutine's: filled in by those modules.
boundary: Final[set[CodeType]] = set()
callback_entry: Final[set[CodeType]] = set()
drivers: Final[set[CodeType]] = set()  # `block`: its coroutine's frames, while that waits
internal: Final[set[CodeType]] = set()  # what such code of ours calls is no user's frame

_hidden_files: Final[dict[str, bool]] = {}

Frame = tuple[str, str, int]  # function, file, line
Stacks = dict[int, list[FrameType]]  # by the identifier of the thread, innermost first


def num_goroutine() -> int:
    """The number of goroutines that exist now, callbacks from C that are running included.

    Goroutines of the runtime itself and idle extra Ms do not count. O(1).

    Example:
        >>> async def main():
        ...     print(gopark.runtime.num_goroutine())
        >>> gopark.run(main)
        1

    Go: runtime.NumGoroutine.
    """
    return len(allgs)


def stack(all: bool = False) -> str:
    """The stack of the calling goroutine, or of all, as Go prints them.

    Args:
        all: Every goroutine, the caller first, then in the order they were started.
    Returns:
        Text that Go's dump parsers can read; empty if there is no goroutine to show.
    Example:
        >>> async def main():
        ...     print(gopark.runtime.stack().splitlines()[0])
        >>> gopark.run(main)
        goroutine 1 [running]:

    Go: runtime.Stack.
    """
    me = getg()
    frame = sys._getframe(1)
    parts = [] if me is None else [gtraceback(me, frame)]
    if all:
        others = sorted((g for g in allgs.copy() if g is not me), key=lambda g: g.goid)
        threads = threadstates() if others else {}
        parts += [text for g in others if (text := gtraceback(g, threads=threads))]
    return "\n".join(parts)


def gtraceback(g: G, frame: FrameType | None = None, threads: Stacks | None = None) -> str:
    """One goroutine: header, frames, creator. Empty if it died meanwhile."""
    status, goid = g.status, g.goid
    if status is GDEAD:
        return ""
    lines = [header(g, status)]
    m = g.lockedm or (g.m if status in (GRUNNING, GSYSCALL) else None)
    if frame is not None:
        frames = threadframes(callers(frame), tls.m)
    elif m is not None and m.ident and not (status is GWAITING and suspended(g)):
        if not FREETHREADED:
            frames = threadframes((threads or threadstates()).get(m.ident, []), m)
        else:
            frames = [] if status is GRUNNING else m.frames
    elif not FREETHREADED:
        frames = coroframes(g)
    else:
        waiting = g.waiting
        frames = [] if status is not GWAITING or waiting is None else waiting.frozen(g, coroframes)
    if not frames and FREETHREADED:
        lines.append("\tgoroutine running on other thread; stack unavailable\n")
    lines += formatframes(frames)
    lines.append(createdby(g))
    return "".join(lines) if g.goid == goid else ""  # it has ended, and its G is another's


def threadstates() -> Stacks:
    """The stack of each thread; none without the GIL, where they may not be read."""
    return {} if FREETHREADED else currentframes()


def recordframes(m: M) -> None:
    """Free-threaded: note where the goroutine on this thread is, before it waits here."""
    m.frames = threadframes(callers(sys._getframe(1)), m)


def tracebackothers() -> str:
    """The stacks of all goroutines, in the order they were started. Go: tracebackothers."""
    gs: list[G] = sorted(allgs.copy(), key=lambda g: g.goid)
    threads = threadstates()
    return "\n".join(text for g in gs if (text := gtraceback(g, threads=threads)))


def header(g: G, status: Status) -> str:
    what = g.waitreason if status is GWAITING else status.name
    if status in (GWAITING, GSYSCALL):
        minutes = int((monotonic() - g.waitsince) // 60)
        if minutes >= 1:
            what += f", {minutes} minutes"
    if g.lockedcnt:
        what += ", locked to thread"
    return f"goroutine {g.goid} [{what}]:\n"


def createdby(g: G) -> str:
    if g.gocode is None:
        return ""
    frame = frameof(g.gocode, g.goglobals or {}, lineat(g.gocode, g.gopc))
    parent = f" in goroutine {g.parentid}" if g.parentid else ""
    return f"created by {frame[0]}{parent}\n\t{frame[1]}:{frame[2]}\n"


def formatframes(frames: list[Frame]) -> list[str]:
    """Function and file lines; the middle of a very deep stack is left out."""
    lines = [f"{func}(...)\n\t{file}:{line}\n" for func, file, line in frames]
    if len(lines) > _MAXFRAMES:
        half = _MAXFRAMES // 2
        lines[half:-half] = [f"...{len(lines) - _MAXFRAMES} frames elided...\n"]
    return lines


# --- finding frames ----------------------------------------------------------------------


def threadframes(stack: list[FrameType], m: M | None) -> list[Frame]:
    """The frames that belong to the goroutine on `m`'s thread, innermost first."""
    frames: list[Frame] = []
    entries = m.ncgo if m is not None and m.g is not None else 0
    for frame in stack:
        code = frame.f_code
        if code in boundary:
            break
        if code in callback_entry:
            entries -= 1
            if entries == 0:
                break
        elif code in internal:
            frames.clear()  # the standard library, while it starts a thread for us
        elif code in drivers:
            frames += awaitframes(frame.f_locals.get("coro"))
        elif not hidden(code):
            frames.append(frameof(code, frame.f_globals, frame.f_lineno))
    return frames


def coroframes(g: G) -> list[Frame]:
    """The whole chain of awaits of a coroutine that is not running, innermost first."""
    if g.coro is None and g.step is not None:
        start = getattr(g.step, "fn", None)  # a plain function that has not begun
        code = getattr(start, "__code__", None)
        if code is not None:
            return [frameof(code, start.__globals__, code.co_firstlineno)]  # type: ignore[union-attr]
    return awaitframes(g.coro) or ownframe(g.coro)


def awaitframes(inner: Any) -> list[Frame]:
    """The chain of awaits of a suspended coroutine, innermost first; none if it is running."""
    frames: list[Frame] = []
    if getattr(inner, "cr_running", False):
        return frames
    for _ in range(sys.getrecursionlimit()):
        frame, inner = _await_link(inner)
        if frame is not None and not hidden(frame.f_code):
            frames.append(frameof(frame.f_code, frame.f_globals, frame.f_lineno))
        if inner is None:
            break
    return frames[::-1]


def ownframe(coro: Any) -> list[Frame]:
    """The frame of a goroutine whose function is one of ours, as in `go(ch.recv)`."""
    frame = _await_link(coro)[0]
    if frame is None:
        return []
    return [frameof(frame.f_code, {"__name__": "gopark"}, frame.f_lineno)]


def suspended(g: G) -> bool:
    """The coroutine has yielded; its frames are not on a thread, even if it is locked to one."""
    return g.coro is not None and not getattr(g.coro, "cr_running", True)


def _await_link(awaited: Any) -> tuple[FrameType | None, Any]:
    """The frame of one awaited object, and what that in turn awaits."""
    if isinstance(awaited, CoroutineType):
        return awaited.cr_frame, awaited.cr_await
    if isinstance(awaited, GeneratorType):
        return awaited.gi_frame, awaited.gi_yieldfrom
    if isinstance(awaited, AsyncGeneratorType):
        return awaited.ag_frame, awaited.ag_await
    # `async for` and `coro.__await__()` wrap the object without a public way to it.
    for ref in gc.get_referents(awaited) if awaited is not None else ():
        if isinstance(ref, (CoroutineType, GeneratorType, AsyncGeneratorType)):
            return None, ref
    return None, None


def excstack(tb: TracebackType | None) -> list[Frame]:
    """The frames of an exception, from where it was raised outwards."""
    frames: list[Frame] = []
    while tb is not None:
        code = tb.tb_frame.f_code
        if not hidden(code):
            frames.append(frameof(code, tb.tb_frame.f_globals, tb.tb_lineno))
        tb = tb.tb_next
    return frames[::-1]


# --- names -------------------------------------------------------------------------------


def frameof(code: CodeType, names: dict[str, Any], line: int | None) -> Frame:
    file = code.co_filename
    if not file.startswith("<"):
        file = os.path.abspath(file)
    return funcname(code, names), file, line or code.co_firstlineno


def funcname(code: CodeType, names: dict[str, Any]) -> str:
    module = names.get("__name__", "?")
    if module == "__main__":
        module = "main"
    return f"{module}.{code.co_qualname.replace('.<locals>', '')}"


def lineat(code: CodeType, lasti: int) -> int:
    for start, end, line in code.co_lines():
        if start <= lasti < end and line is not None:
            return line
    return code.co_firstlineno


def hidden(code: CodeType) -> bool:
    """A frame of this package."""
    file = code.co_filename
    known = _hidden_files.get(file)
    if known is None:
        known = _hidden_files[file] = os.path.abspath(file).startswith(_PACKAGE)
    return known
