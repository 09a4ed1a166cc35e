"""The end of a goroutine and of a program: return, goexit, panic, fatal error.

A goroutine's uncaught exception is a panic: its report goes to stderr in Go's form, then
the program ends with status 2. Main's own exception passes through `run` unchanged.

Steps of a death by panic, and those of main returning at the same time:
  the dying goroutine                      main's goexit0, and run
  1. takes `_hooklk`, tells sys.excepthook 1. takes `_hooklk`, `_panlk`: waits for what is under way
  2. takes `_panlk`
  3. prints, stores Sched.fatal, ends it   2. finds the program ended: run raises Sched.fatal
Before step 1 main gives way a while to a goroutine that an exception is on its way out of, as it
seems (`runningpanicdefers`, rt0.py).
Only the first death of a program is reported; later ones find it ended and stay silent.

Without a main (the runtime started at first use) the main thread raises the error: nomain.py.
A panic handler of the user's (`set_panic_handler`) comes before all this, and may let the program
live.

Locks: `_hooklk`, then `_panlk`, held while printing, taken with no other lock held.
Source: Go 1.27 runtime/panic.go, proc.go (goexit0). Tests: tests/runtime/test_panic.py
"""

from __future__ import annotations

import os
import sys
import threading
import traceback as pytraceback
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

from gopark._runtime.base.errors import FatalError, Goexit, ProgramEnded, Throw
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.printstring import lines, shown
from gopark._runtime.base.runtime1 import gotraceback, writecrash
from gopark._runtime.base.runtime2 import (
    GDEAD,
    GRUNNING,
    GWAITING,
    G,
    Gone,
    M,
    P,
    Sched,
    allgs,
    casgstatus,
    tls,
)
from gopark._runtime.report.printpanics import infinally, panictext
from gopark._runtime.report.traceback import (
    Stacks,
    awaiting,
    boundary,
    createdby,
    excstack,
    formatframes,
    goexitcode,
    header,
    hidden,
    paniccode,
    panicframe,
    startframe,
    threadstates,
    tracebackothers,
)
from gopark._runtime.sched.foreign import noloop
from gopark._runtime.sched.newproc import checkcall, isasync
from gopark._runtime.sched.startm import handoffp, maxthreads, releasep, wakep

__all__ = (
    "die",
    "endsched",
    "endwith",
    "exitnow",
    "fatal",
    "goexit",
    "gopanic",
    "panicking",
    "printerr",
    "printreport",
    "runningpanicdefers",
    "set_panic_handler",
    "sysexit",
)

_LOOK: Final = 100  # as many goroutines of a queue it looks at
_panlk: Final = lasting(threading.RLock())
_hooklk: Final = lasting(threading.Lock())
_HOOKWAIT: Final = 10.0  # seconds that main's end waits for `sys.excepthook`

PanicHandler = Callable[[BaseException, int, str], object]


class _Doors:
    """Set by signal_unix.py: bring the thread that called run back to it."""

    bringhome: Callable[[Sched], None]
    outcomes: tuple[type[BaseException], ...] = ()  # testing: they end the program, as main's
    interactive: Callable[[], bool]  # nomain.py: somebody sits at a prompt
    leave: Callable[[Sched, SystemExit], None]  # nomain.py: end a process that has no main
    # asyncio: main is done, and has cancelled all tasks; it came out of one of these.
    cancelled: Callable[[Sched, BaseException], bool] = staticmethod(lambda sched, exc: False)
    died: Callable[[], None] | None = None  # trace: the report is printed; what else is to be kept?


doors: Final = _Doors()


def panicking() -> threading.RLock:
    """Held while a report is being printed; see the steps above."""
    return _panlk


def goexit() -> NoReturn:
    """End the calling goroutine; its `finally` blocks and `with` statements run.

    In main, the other goroutines go on; once all are done the program has no goroutine
    left, which is a fatal error.

    Raises:
        Goexit: always; it unwinds the goroutine, do not catch it.
    Example:
        >>> async def worker(done):
        ...     try:
        ...         gopark.goexit()
        ...     finally:
        ...         done.close()
        >>> async def main():
        ...     done = gopark.Chan()
        ...     gopark.go(worker, done)
        ...     print(await done.recv())
        >>> gopark.run(main)
        None

    Go: runtime.Goexit.
    """
    m = tls.m
    if m is not None and m.curg is not None:
        m.curg.goexiting = m.curg.goid
    raise Goexit("goexit ends a goroutine, and none runs here")


def goexit0(m: M, g: G, exc: BaseException | None) -> None:
    """The last thing that happens to a goroutine. `exc` is what its function let escape."""
    sched = m.sched
    assert sched is not None
    if isinstance(exc, StopIteration) and g.coro is not None:
        exc = None
    if g.goexiting == g.goid and (exc is None or isinstance(exc, Goexit)):
        exc = Goexit()
    if exc is not None:
        noloop(exc)
    if sched.forked:
        cameback(m, sched, exc)
    if exc is not None and not _quiet(sched, g, exc):
        gopanic(sched, g, exc)
    allgs.discard(g)
    casgstatus(g, GRUNNING, GDEAD)
    if g is sched.main:
        if isinstance(exc, Goexit):
            sched.main_goexited = True
        else:
            _awaitreport(m, sched)
            if not sched.ended:  # else somebody has said already how it ends
                sched.exc = exc
                endsched(sched)
            if m is not sched.m0:
                doors.bringhome(sched)
    locked = g.lockedcnt
    g.clear()
    if locked:  # its thread ends with it: see stopm
        p = releasep(m)
        if p is not None:
            handoffp(sched, p)


def _awaitreport(m: M, sched: Sched) -> None:
    """Main is done: a report that is being made comes first. It may need our P for that."""
    for lock, patience in ((_hooklk, _HOOKWAIT), (_panlk, -1)):
        if not lock.acquire(False):
            p = releasep(m)
            if p is not None:
                handoffp(sched, p)
            if not lock.acquire(timeout=patience):
                continue
        lock.release()


def runningpanicdefers(sched: Sched) -> bool:
    """Whether a goroutine that could go on now is in a `finally` block an exception led to.

    A guess, as in Go: it looks at who runs and at who is next. Without the GIL the frames of
    other threads cannot be read.
    """
    if len(allgs) <= 1:
        return False  # the caller alone
    me, threads = tls.m, threadstates()
    try:
        if any(_unwinds(m.curg, m, threads) for m in sched.allm.copy() if m is not me):
            return True
        mine = None if me is None else me.p
        return any(_anyunwinds(sched, p, p is mine, threads) for p in sched.allp[:])
    finally:
        threads.clear()  # our own frame is among them: a cycle, which would keep all of theirs


def _anyunwinds(sched: Sched, p: P, mine: bool, threads: Stacks) -> bool:
    """One of those that are next on this P, or on the global queue, does.

    Each is the caller's, and nobody steps it, while it looks. The M of another P may have gone
    idle meanwhile, so those go to the global queue then.
    """
    found = False
    onto = p.runq if mine else sched.runq
    for take, n, back in (
        (p.runnext.pop, len(p.runnext), onto),
        (p.runq.popleft, len(p.runq), onto),
        (sched.runq.popleft, len(sched.runq), sched.runq),
    ):
        for _ in range(min(n, _LOOK)):
            try:
                g = take()
            except IndexError:
                break
            found = found or _unwinds(g, g.lockedm, threads)
            back.append(g)
    if sched.runq and sched.npidle:
        wakep(sched)
    return found


def _unwinds(g: G | None, m: M | None, threads: Stacks) -> bool:
    """`m` is that of the thread that `g` is on, if any."""
    if g is None or g.goexiting == g.goid or g.status is GWAITING:
        return False
    for frame in awaiting(g.coro) if m is None else threads.get(m.ident, []):
        code = frame.f_code
        if code is goexit0.__code__ or infinally(code, frame.f_lasti):
            return True
        if code in boundary:
            break
    return False


def cameback(m: M, sched: Sched, exc: BaseException | None) -> None:
    """In the child of a fork. On its thread `run` says so; there is none below a thread of ours."""
    sched.exc = exc
    if m is not sched.m0 and m.g is None:  # no extra M, which is on a thread of the user's
        err = RuntimeError("a forked child came back to its parent's program: use os._exit")
        err.__cause__ = exc
        sys.excepthook(RuntimeError, err, None)
        exitnow(1)


def _quiet(sched: Sched, g: G, exc: BaseException) -> bool:
    """An exception that is no panic."""
    if isinstance(exc, SystemExit) and not isinstance(exc, FatalError) and g is not sched.main:
        sysexit(sched, exc)
        return True
    if isinstance(exc, Throw):
        return False
    if isinstance(exc, doors.outcomes) and g is not sched.main:
        endwith(sched, exc)
        return True
    return (
        g is sched.main
        or isinstance(exc, (Goexit, ProgramEnded))
        or exc is sched.fatal
        or sched.ended
        or doors.cancelled(sched, exc)
    )


def sysexit(sched: Sched, exc: SystemExit) -> None:
    """sys.exit in any goroutine ends the program with that status. Go: os.Exit."""
    if sched.main is None:
        if not doors.interactive():
            doors.leave(sched, exc)
        return
    with sched.lock:
        if not sched.ended:
            sched.exc = exc
    endsched(sched)
    doors.bringhome(sched)


# --- reports -----------------------------------------------------------------------------


def gopanic(sched: Sched, g: G, exc: BaseException) -> None:
    """Report an uncaught exception of a goroutine and end the program."""
    if isinstance(exc, Throw):
        throw(exc)
        return
    if isinstance(exc, FatalError) and sched.main is None and doors.interactive():
        return  # it has been reported
    errors = [exc]
    if _handler is not None and not sched.ended and not isinstance(exc, FatalError):
        failed = _handled(sched, g, exc, _handler)
        if failed is None:
            return
        errors.append(failed)
    if not _hooklk.acquire(False):
        return  # another one is being told of, and ends the program
    try:
        told = _tell(sched, g, errors[-1])
        with _panlk:
            if not sched.ended:
                report, message = panicreport(g, errors)
                err = FatalError(message)
                err.__cause__ = errors[-1]
                die(sched, err, report)
            elif told:
                printreport(panicreport(g, errors)[0])  # it ended meanwhile
    finally:
        _hooklk.release()


def panicreport(g: G, errors: list[BaseException]) -> tuple[str, str]:
    """The report of a goroutine that dies of the first error, and its last `panic:` line.

    A second one is what the panic handler raised when it was given the first.
    """
    texts: list[str] = []
    frames: list[str] = []
    message = ""
    for exc in errors:
        if exc is not errors[0] and (last := _cameoutof(exc, errors[0])) is not None:
            last.__context__ = None  # it shows already, and has not been recovered
        text, message = panictext(exc)
        texts.append(text)
        frames.insert(0, "".join(formatframes(excstack(exc) or startframe(g))))
        if exc is not errors[0] and last is not None:
            last.__context__ = errors[0]
    between = "".join(formatframes([panicframe()]))
    report = "\n\t".join(texts) + f"\n\n{header(g, GRUNNING)}{between.join(frames)}{createdby(g)}"
    others = tracebackothers(g) if gotraceback().all else getattr(errors[0], "stacks", "")
    if others:
        report += f"\n{others}"
    return report, message


def _cameoutof(exc: BaseException, first: BaseException) -> BaseException | None:
    """The link of the chain of contexts that leads to `first`."""
    link: BaseException | None = exc
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        if link.__context__ is first:
            return link
        seen.add(id(link))
        link = link.__context__
    return None


# --- who is told -------------------------------------------------------------------------

_handler: PanicHandler | None = None


def set_panic_handler(handler: PanicHandler | None) -> PanicHandler | None:
    """Have a function called for each panic, instead of the report and the end of the program.

    If the handler returns, only the goroutine ends, and the program goes on. That is for servers
    that would rather log and go on, and it has a price: what the goroutine was in the middle of
    stays as it is. A lock it holds outside of `with` is never given back, an invariant that it
    broke stays broken, and who waits for it waits for ever. If it raises, the program dies of
    both errors; `sys.exit` in it ends the program with that status.

    Args:
        handler: A plain function, called as `handler(exception, goid, report)` in the goroutine
            that panics, its context variables included. It gets the exception, the number of the
            goroutine, and the text that would have been printed. None takes the handler off.
    Returns:
        The handler that stood before.
    Raises:
        TypeError: `handler` is not a plain function that takes three arguments.
    Example:
        >>> async def bad():
        ...     raise ValueError("x")
        >>> async def main():
        ...     told = gopark.Chan(1)
        ...     gopark.set_panic_handler(lambda exc, goid, report: told.try_send(repr(exc)))
        ...     gopark.go(bad)
        ...     print(await told.recv())
        >>> gopark.run(main)
        ValueError('x')
        >>> handler = gopark.set_panic_handler(None)

    Go: none; there a deferred function with `recover` does so, in each goroutine.
    """
    global _handler
    if handler is not None:
        checkcall("set_panic_handler", handler, (None, 0, ""), {})
        if isasync(handler):
            raise TypeError(
                f"set_panic_handler needs a plain function, got the async {shown(handler)}"
            )
    before, _handler = _handler, handler
    return before


def _handled(sched: Sched, g: G, exc: BaseException, handler: PanicHandler) -> BaseException | None:
    """Give it to the handler of the user's; what that raises, if it does."""
    try:
        report, _ = panicreport(g, [exc])
        _ingoroutine(g, handler, exc, g.goid, report)
    except (Goexit, ProgramEnded):
        pass
    except SystemExit as leaves:
        if isinstance(leaves, FatalError):
            return leaves
        sysexit(sched, leaves)
    except BaseException as failed:
        return failed
    return None


def _tell(sched: Sched, g: G, exc: BaseException) -> bool:
    """Tell `sys.excepthook`, if it is not Python's own: that would print what we print."""
    hook = getattr(sys, "excepthook", None)  # None, or gone: nobody is to be told
    if (
        hook is None
        or hook is sys.__excepthook__
        or sched.ended
        or (sched.main is None and doors.interactive())
    ):
        return False
    traceback = exc.__traceback__
    while traceback is not None and hidden(traceback.tb_frame.f_code):
        traceback = traceback.tb_next  # the frames of the scheduler
    try:
        _ingoroutine(g, hook, type(exc), exc, traceback)
    except BaseException as failed:
        text = "".join(pytraceback.format_exception(failed))
        printerr(f"Error in sys.excepthook:\n{lines(text)}")
    return True


def _ingoroutine(g: G, fn: Callable[..., object], *args: object) -> None:
    """Call it with the goroutine's context variables."""
    entered = []

    def call() -> None:
        entered.append(True)
        fn(*args)

    if g.ctx is None:  # a callback from C: they are there
        return call()
    try:
        g.ctx.run(call)
    except RuntimeError:
        if entered:
            raise
        call()  # they are there: a callback inside of the goroutine


def fatal(sched: Sched, err: FatalError, report: str) -> None:
    """A fatal error of the runtime; the first one of a program is reported."""
    with _panlk:
        if not sched.ended:
            die(sched, err, report)


_OUTOFMEMORY: Final = b"fatal error: runtime: out of memory\n"


def throw(exc: BaseException) -> None:
    """A bug of ours: say all we know and leave, for no state can be trusted. Go: throw.

    Memory that has run out inside the runtime is none, but ends the process in the same way.
    """
    try:
        outofmemory = isinstance(exc, MemoryError)
        what = "runtime: out of memory" if outofmemory else f"{type(exc).__name__}: {exc}"
        trace = "".join(pytraceback.format_exception(exc))
        printreport(f"fatal error: {what}\n\n{trace}")
    except MemoryError:
        os.write(2, _OUTOFMEMORY)  # there is not enough for the report
    finally:
        exitnow()


def exhausted(sched: Sched) -> None:
    """More threads than `set_max_threads` allows."""
    what = f"runtime: program exceeds {maxthreads()}-thread limit\nfatal error: thread exhaustion"
    fatal(sched, FatalError("fatal error: thread exhaustion"), f"{what}\n\n{tracebackothers()}")


def die(sched: Sched, err: FatalError, report: str) -> None:
    """Print, then end the program. Caller holds `_panlk`.

    `report` is what happened, and after the first empty line the stacks.
    """
    atprompt = sched.main is None and doors.interactive()
    if not atprompt:
        sched.fatal = err
    printreport(report)
    if atprompt:
        return
    if doors.died is not None:
        doors.died()
    if sched.main is None:
        doors.leave(sched, err)
        return
    endsched(sched)
    doors.bringhome(sched)


def endwith(sched: Sched, exc: BaseException) -> None:
    """End the program as if main had raised `exc`, whatever main does. From any thread."""
    with _panlk:
        if not sched.ended:
            sched.exc = exc
            endsched(sched)
            doors.bringhome(sched)


def printreport(report: str, write: Callable[[str], None] | None = None) -> None:
    """Onto stderr and into the crash output, as much as GOTRACEBACK asks for."""
    level, _, crash = gotraceback()
    if not level:
        report = report.partition("\n\n")[0]
    if not report.endswith("\n"):
        report += "\n"
    (write or printerr)(report)
    writecrash(report)
    if crash:
        os.abort()


def printerr(text: str) -> None:
    """Onto stderr, whatever is left of it; if nobody reads that, all else goes on as ever."""
    if not text.endswith("\n"):
        text += "\n"
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
        sys.stderr.write(text)
        sys.stderr.flush()
    except Exception:
        with suppress(OSError):
            os.write(2, text.encode(errors="replace"))


def exitnow(status: int = 2) -> NoReturn:
    """Leave at once; only what was printed is not lost."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except Exception:
        pass
    os._exit(status)


# --- the end of a program ----------------------------------------------------------------


def endsched(sched: Sched) -> None:
    """Nothing of this program runs from now on: take every P away and wake every sleeper."""
    with sched.lock:
        if sched.ended:
            return
        for p in sched.allp:
            p.near = Gone()  # who still puts a goroutine there looks again: see runq.py
        if sched.fatal is None and sched.main is not None:
            sched.cleanup = hooks.cleanup(sched)
        sched.ended = True
        ms = list(sched.allm)
        sched.midle.clear()
        for m in ms:
            m.p = None
            m.idle = m.hog = False
        sched.npidle = 0
        sched.pidle.clear()
    for m in hooks.extras():  # callbacks that go on: in the next program they have no P
        held = m.p
        if held is not None and held.sched is sched:
            m.p = None
    for m in ms:
        m.park.wakeup()
    for g in allgs.copy():  # callbacks that wait on threads of others
        lockedm = g.lockedm
        if lockedm is not None:
            lockedm.park.wakeup()


paniccode.append(gopanic.__code__)
goexitcode.append(goexit.__code__)
hooks.goexit0 = goexit0
hooks.throw = throw
hooks.exhausted = exhausted
hooks.cameback = cameback
