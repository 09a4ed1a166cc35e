"""Stacks in Go's printed form, for goroutines of all kinds and in every state.

Where the frames of a G are:
  parked coroutine              its chain of awaits (`cr_await`), each with its own frame
  on a thread                   that thread's frames, down to the loop or the callback's entry
  (running, in C, or parked     (the frames of an inner await, and those of the Python code
  in `block`)                   that called the C code that called back, are in between)

Strict readers of this form exist (gostackparse, goleak): a header holds nothing but the
status or wait reason, minutes and `locked to thread`; a function line one pair of
parentheses; a file line a tab and `:digits`. Frames of this package do not show, nor those of
the import system, unless GOTRACEBACK says `system`; a goroutine that has no others shows the
function that it was started with. What comes from outside is escaped (symtab.py). What
GOPARKDEBUG adds to the header (labels) and behind the creator (ancestors) comes in through two
doors, and not by itself.

While an exception is being handled, or unwinds, its frames are on no stack of Python's any
more. Go runs deferred functions on top of the frame that failed, so its stacks show them, with
a frame `panic` in between; here they are taken from the exception's traceback and put where
Go has them: the frame that handles it, `panic`, where it was raised, the frame that handles it
once more, and so on outwards.

Nothing here takes a lock: a dump is a copy of `allgs`, formatted at leisure. A G that moves
on meanwhile is shown as it was at some moment of the dump.

Without the GIL frames may be read only while nobody runs them. A parked coroutine is kept
from being woken meanwhile (`Waiter.frozen`), one that waits on a thread has left a note there
(`M.frames`), and for one that runs, or is about to, Go's own words say that there is no stack.

Source: Go 1.27 runtime/traceback.go, mprof.go (Stack), debug/stack.go.
Tests: tests/runtime/test_traceback.py, tests/conformance/traceback
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
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

from gopark._runtime.base.errors import Goexit, ProgramEnded
from gopark._runtime.base.runtime1 import gotraceback
from gopark._runtime.base.runtime2 import (
    FREETHREADED,
    GDEAD,
    GRUNNABLE,
    GRUNNING,
    GSYSCALL,
    GWAITING,
    G,
    M,
    Status,
    allgs,
    callers,
    currentframes,
    framein,
    getg,
    startedwith,
    tls,
)
from gopark._runtime.report.symtab import Frame, frameof, moduleof, pathof, publicname, qualified
from gopark._runtime.twin import operations

__all__ = (
    "before",
    "boundary",
    "callback_entry",
    "excstack",
    "gtraceback",
    "handled",
    "num_goroutine",
    "package",
    "recordframes",
    "stack",
    "startframe",
    "threadstates",
    "tracebackothers",
)

package: Final = os.path.abspath(os.path.join(__file__, *[os.pardir] * 3)) + os.sep
_BUILTIN: Final = "<built-in>"  # in the place of a file, for a function of C
_MAXFRAMES: Final = 100  # as Go: the first and the last 50 of a deeper stack

# Code below which a thread's frames are not the goroutine's: filled in by those modules.
boundary: Final[set[CodeType]] = set()
callback_entry: Final[set[CodeType]] = set()
drivers: Final[set[CodeType]] = set()  # `block`: its coroutine's frames, while that waits
# Frames of ours that user code may be called from, holding nothing, and an exception pass through;
# and others that call it, into which nothing is to be raised, and below which nothing is held.
# See preempt.py, finq.py.
transparent: Final[set[CodeType]] = set()
calling: Final[set[CodeType]] = set()
internal: Final[set[CodeType]] = set()  # what such code of ours calls is no user's frame

_hidden_files: Final[dict[str, bool]] = {}

paniccode: Final[list[CodeType]] = []  # of the function that stands between them
goexitcode: Final[list[CodeType]] = []  # of goexit, which shows under what a cleanup of it raised

Link = FrameType | TracebackType | None  # a frame, one that an exception passed, or `panic`
Stacks = dict[int, list[FrameType]]  # by the identifier of the thread, innermost first


class _Doors:
    """Set by modules that GOPARKDEBUG asks for, and by bubble.py."""

    labels: Callable[[G], str] | None = None  # for the header
    leaked: Callable[[G], bool] | None = None  # it waits for ever: mgcleak.py
    ancestors: Callable[[G], str] | None = None  # behind the creator
    bubble: Callable[[G], tuple[str, str]] | None = None  # behind the reason, and at its end
    tasks: Callable[[], str] | None = None  # behind all goroutines: of a hosted event loop
    scopes: Callable[[list[G], bool], str] | None = None  # the same: what ends whose waits


doors: Final = _Doors()


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
    parts = [] if me is None else [gtraceback(me, handled(callers(frame)))]
    if all:
        others = sorted((g for g in allgs.copy() if g is not me), key=lambda g: g.goid)
        threads = threadstates() if others else {}
        parts += [text for g in others if (text := gtraceback(g, threads=threads))]
        parts += behind(others if me is None else [me, *others])
    return "\n".join(parts)


def gtraceback(
    g: G,
    links: list[Link] | None = None,
    threads: Stacks | None = None,
    own: tuple[CodeType, ...] = (),
) -> str:
    """One goroutine: header, frames, creator. Empty if it died meanwhile.

    `links` is the stack of the caller, if `g` is that; code in `own` shows, though it is ours.
    """
    status, goid = g.status, g.goid
    if status is GDEAD:
        return ""
    lines = [header(g, status)]
    frames = gframes(g, status, links, threads, own)
    if not frames and FREETHREADED:
        lines.append("\tgoroutine running on other thread; stack unavailable\n")
    lines += formatframes(frames)
    lines.append(createdby(g))
    if doors.ancestors is not None:
        lines.append(doors.ancestors(g))
    gone = g.goid != goid or g.status is GDEAD  # it has ended, and its G may be another's
    return "" if gone else "".join(lines)


def gframes(
    g: G,
    status: Status,
    links: list[Link] | None = None,
    threads: Stacks | None = None,
    own: tuple[CodeType, ...] = (),
) -> list[Frame]:
    """The frames of a goroutine that was just seen in `status`, innermost first."""
    stack: Any = links or ()
    m = g.lockedm or (g.m if status in (GRUNNING, GSYSCALL) else None)
    if links is not None:
        frames = threadframes(links, tls.m, own)
    elif m is not None and m.ident and not (status is GWAITING and suspended(g)):
        if not FREETHREADED:
            stack = (threads or threadstates()).get(m.ident, [])
            frames = threadframes(stack, m)
        else:
            frames = [] if status is GRUNNING else m.frames
    elif not FREETHREADED:
        frames = coroframes(g)
    else:
        waiting = g.waiting
        frames = [] if status is not GWAITING or waiting is None else waiting.frozen(g, coroframes)
    if not frames:
        frames = startframe(g) or entryframe(stack)
        unknown = FREETHREADED and (g.coro is not None or status in (GRUNNING, GRUNNABLE))
        if unknown and not (frames and frames[0][1] is _BUILTIN):
            frames = []  # it is somewhere behind that
    return frames


def threadstates() -> Stacks:
    """The stack of each thread; none without the GIL, where they may not be read.

    The caller may keep them in a local: of its own thread they begin behind it.
    """
    return {} if FREETHREADED else currentframes(mine=sys._getframe(1).f_back)


def recordframes(m: M) -> None:
    """Free-threaded: note where the goroutine on this thread is, before it waits here."""
    links: list[Any] = callers(sys._getframe(1))
    m.frames = threadframes(links, m)


def tracebackothers(me: G | None = None, tasks: bool = True) -> str:
    """The stacks of all goroutines but `me`, in the order they were started.

    Without `tasks` nothing is said of those that are tasks, and in no other scope.
    """
    gs: list[G] = sorted((g for g in allgs.copy() if g is not me), key=lambda g: g.goid)
    threads = threadstates()
    parts = [text for g in gs if (text := gtraceback(g, threads=threads))]
    return "\n".join(parts + behind(gs, tasks))


def behind(gs: list[G], tasks: bool = True) -> list[str]:
    """What follows the goroutines: the scopes that they are in, the tasks of an event loop.

    Readers of dumps would take a line of that for the end, if it stood between two goroutines.
    """
    parts = []
    if doors.scopes is not None:
        parts.append(doors.scopes(gs, tasks))
    if doors.tasks is not None:
        parts.append(doors.tasks())
    return [text for text in parts if text]


def header(g: G, status: Status) -> str:
    what = g.waitreason if status is GWAITING else status.name
    if doors.leaked is not None and status is GWAITING and doors.leaked(g):
        what += " (leaked)"
    durable, bubble = ("", "") if doors.bubble is None else doors.bubble(g)
    what += durable
    if status in (GWAITING, GSYSCALL):
        minutes = int((monotonic() - g.waitsince) // 60)
        if minutes >= 1:
            what += f", {minutes} minutes"
    if g.lockedcnt:
        what += ", locked to thread"
    labels = "" if doors.labels is None else doors.labels(g)
    return f"goroutine {g.goid} [{what}{bubble}]{labels}:\n"


def createdby(g: G, parent: bool = True) -> str:
    frame = creatorframe(g)
    if frame is None:
        return ""
    who = f" in goroutine {g.parentid}" if parent and g.parentid else ""
    return f"created by {frame[0]}{who}\n\t{frame[1]}:{frame[2]}\n"


def creatorframe(g: G) -> Frame | None:
    """The line that called `go`; None for one that nobody started, or that has just ended."""
    code = g.gocode
    return None if code is None else frameof(code, g.goglobals or {}, lineat(code, g.gopc))


def formatframes(frames: list[Frame]) -> list[str]:
    """Function and file lines; the middle of a very deep stack is left out."""
    lines = [f"{func}(...)\n\t{file}:{line}\n" for func, file, line in frames]
    if len(lines) > _MAXFRAMES:
        half = _MAXFRAMES // 2
        lines[half:-half] = [f"...{len(lines) - _MAXFRAMES} frames elided...\n"]
    return lines


# --- finding frames ----------------------------------------------------------------------


def threadframes(stack: list[Link], m: M | None, own: tuple[CodeType, ...] = ()) -> list[Frame]:
    """The frames that belong to the goroutine on `m`'s thread, innermost first."""
    frames: list[Frame] = []
    entries = m.ncgo if m is not None and m.g is not None else 0
    for link in stack:
        frame, line = linkof(link)
        if frame is None:
            frames.append(panicframe())
            continue
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
        elif code in own:
            frames.append(publicframe(code, line))
        elif code in goexitcode:
            frames.append(goexitframe(code, line))
        elif shown(code):
            frames.append(frameof(code, frame.f_globals, line))
    return frames


def coroframes(g: G) -> list[Frame]:
    """The whole chain of awaits of a coroutine that is not running, innermost first."""
    return awaitframes(g.coro) or ownframe(g.coro)


def awaitframes(inner: Any) -> list[Frame]:
    """The chain of awaits of a suspended coroutine, innermost first; none if it is running."""
    return [
        frameof(frame.f_code, frame.f_globals, frame.f_lineno)
        for frame in reversed(awaiting(inner))
        if shown(frame.f_code)
    ]


def awaiting(inner: Any) -> list[FrameType]:
    """The same with the runtime's own, outermost first."""
    frames: list[FrameType] = []
    if getattr(inner, "cr_running", False):
        return frames
    for _ in range(sys.getrecursionlimit()):
        frame, inner = awaitlink(inner)
        if frame is not None:
            frames.append(frame)
        if inner is None:
            break
    return frames


def ownframe(coro: Any) -> list[Frame]:
    """The frame of a goroutine whose function is one of ours, as in `go(ch.recv)`."""
    coro = getattr(coro, "coro", coro)  # newproc.Wrapped has it inside
    if isinstance(coro, operations):
        code = coro.cr_code
        return [frameof(code, {"__name__": "gopark"}, code.co_firstlineno)]
    frame = awaitlink(coro)[0]
    if frame is None:
        return []
    return [frameof(frame.f_code, {"__name__": "gopark"}, frame.f_lineno)]


def startframe(g: G) -> list[Frame]:
    """The function that a goroutine was started with, if it has no frame of the user's.

    So it is while a function of C runs or waits, and one of ours. Without a single frame the
    readers of dumps would drop the goroutine.
    """
    coro = g.coro
    if coro is not None:
        return ([] if FREETHREADED else ownframe(coro)) or [
            codeframe(getattr(coro, "cr_code", None), coro)
        ]
    start = startedwith(g)
    return [] if start is None else [codeframe(getattr(start, "__code__", None), start)]


def entryframe(stack: list[Link]) -> list[Frame]:
    """The same for a goroutine that came in from outside: what C called, or `block` on a thread."""
    frames: list[Frame] = []
    for link in stack:
        frame, line = linkof(link)
        if frame is None:
            continue
        code = frame.f_code
        if code in callback_entry and (run := frame.f_locals.get("run")) is not None:
            return [codeframe(getattr(run, "__code__", None), run)]
        if hidden(code) and publicname(code):
            frames = [publicframe(code, line)]
    return frames


def codeframe(code: Any, fn: Any) -> Frame:
    """A frame for a function that has none now, or never any: C's are in no file."""
    if isinstance(code, CodeType):
        names = getattr(fn, "__globals__", None) or {"__name__": moduleof(code, fn)}
        if hidden(code):
            names = {"__name__": getattr(fn, "__module__", None) or "gopark"}
        return frameof(code, names, code.co_firstlineno)
    name = getattr(fn, "__qualname__", None) or getattr(fn, "__name__", None)
    if not isinstance(name, str):
        fn = type(fn)
        name = fn.__qualname__
    module = getattr(fn, "__module__", None) or type(getattr(fn, "__self__", fn)).__module__
    return qualified(module, name), _BUILTIN, 0


def suspended(g: G) -> bool:
    """The coroutine has yielded; its frames are not on a thread, even if it is locked to one."""
    return g.coro is not None and not getattr(g.coro, "cr_running", True)


def awaitlink(awaited: Any) -> tuple[FrameType | None, Any]:
    """The frame of one awaited object, and what that in turn awaits."""
    if isinstance(awaited, CoroutineType):
        return framein(awaited, "cr_frame"), awaited.cr_await
    if isinstance(awaited, GeneratorType):
        return framein(awaited, "gi_frame"), awaited.gi_yieldfrom
    if isinstance(awaited, AsyncGeneratorType):
        return framein(awaited, "ag_frame"), awaited.ag_await
    if isinstance(awaited, operations):  # they have no frame, and refer to what they send
        return None, None
    # `async for` and `coro.__await__()` wrap the object without a public way to it.
    for ref in gc.get_referents(awaited) if awaited is not None else ():
        if isinstance(ref, (CoroutineType, GeneratorType, AsyncGeneratorType)):
            return None, ref
        if type(ref).__name__ == "async_generator_asend":  # inside of `anext(it, default)`
            return None, ref
    return None, None


# --- exceptions --------------------------------------------------------------------------


def excstack(exc: BaseException) -> list[Frame]:
    """The frames of an exception, innermost first, and of those it came out of.

    Where it was raised inside gopark, the public function that was called is named.
    """
    frames: list[Frame] = []
    inside: tuple[CodeType, int] | None = None
    for link in goexited(spliced(passed(exc), before(exc), {id(exc)}), exc):
        frame, line = linkof(link)
        if frame is None:
            frames.append(panicframe())
        elif frame.f_code in goexitcode:
            frames.append(goexitframe(frame.f_code, line))
        elif shown(frame.f_code):
            if inside is not None and not frames and publicname(inside[0]):
                frames.append(publicframe(*inside))
            frames.append(frameof(frame.f_code, frame.f_globals, line))
        elif not frames:
            inside = frame.f_code, line
    return frames


def handled(stack: list[FrameType]) -> list[Link]:
    """A stack of the calling thread, with the frames of the exception that it handles."""
    links: list[Link] = [*stack]
    exc = sys.exception()
    if exc is None or isinstance(exc, (ProgramEnded, GeneratorExit)):
        return links
    if not isinstance(exc, Goexit):
        links = spliced(links, exc, set())
    return goexited(links, exc)


def spliced(outer: list[Link], exc: BaseException | None, seen: set[int]) -> list[Link]:
    """`outer`, and where it handles `exc` a `panic` and the frames of that; and so on."""
    links: list[Link] = []
    below: list[list[Link]] = []
    while exc is not None and id(exc) not in seen and (inner := passed(exc)):
        seen.add(id(exc))
        handler = linkof(inner[-1])[0]
        i = next((i for i, link in enumerate(outer) if linkof(link)[0] is handler), None)
        if i is None:
            break  # it was handled in other frames than these
        links += [*outer[: i + 1], None]
        below.append(outer[i + 1 :])
        outer, exc = inner, before(exc)
    for part in (outer, *reversed(below)):
        links += part
    return links


def goexited(links: list[Link], exc: BaseException) -> list[Link]:
    """The same, and where `exc` is a goexit or came out of one, the frames of that."""
    seen = set()
    while not isinstance(exc, Goexit) and id(exc) not in seen:
        seen.add(id(exc))
        older = before(exc)
        if older is None:
            break
        exc = older
    goexit = exc if isinstance(exc, Goexit) else exc.__context__
    if isinstance(goexit, Goexit) and (inner := passed(goexit)):
        handler = linkof(inner[-1])[0]
        for i in range(len(links) - 1, -1, -1):  # it was first, so it is the outermost
            if linkof(links[i])[0] is handler:
                return [*links[: i + 1], *inner, *links[i + 1 :]]
    return links


def passed(exc: BaseException) -> list[Link]:
    """The frames that an exception has passed, from where it was raised outwards."""
    links: list[Link] = []
    tb = exc.__traceback__
    while tb is not None:
        links.append(tb)
        tb = tb.tb_next
    return links[::-1]


def before(exc: BaseException) -> BaseException | None:
    """The exception that was being handled when `exc` was raised, or that it was raised from."""
    older = exc.__cause__
    if older is None and not exc.__suppress_context__:
        older = exc.__context__
    # Unwinding is no panic: what a finally block raises during goexit stands alone.
    return None if isinstance(older, (Goexit, ProgramEnded, GeneratorExit)) else older


def linkof(link: Link) -> tuple[FrameType | None, int]:
    if link is None:
        return None, 0
    if isinstance(link, TracebackType):
        return link.tb_frame, link.tb_lineno
    return link, link.f_lineno


def panicframe() -> Frame:
    """What stands between a frame that handles an exception and where that was raised."""
    return "panic", paniccode[0].co_filename, paniccode[0].co_firstlineno


def goexitframe(code: CodeType, line: int) -> Frame:
    return "gopark.goexit", pathof(code.co_filename), line


def publicframe(code: CodeType, line: int) -> Frame:
    return publicname(code), pathof(code.co_filename), line


def lineat(code: CodeType, lasti: int) -> int:
    for start, end, line in code.co_lines():
        if start <= lasti < end and line is not None:
            return line
    return code.co_firstlineno


def shown(code: CodeType) -> bool:
    """A frame that is worth a user's while."""
    if gotraceback().level > 1:
        return True
    return not (hidden(code) or code.co_filename.startswith("<frozen importlib"))


def hidden(code: CodeType) -> bool:
    """A frame of this package."""
    file = code.co_filename
    known = _hidden_files.get(file)
    if known is None:
        known = _hidden_files[file] = os.path.abspath(file).startswith(package)
    return known
