"""G, M, P and the scheduler's shared state: what they hold and who may touch it.

States of a G, and the questions that tell them apart:

  state     runs user code?  who owns it                            on a queue?
  idle      no               the goroutine that is making it        no
  runnable  no               whoever takes it off its queue         one run queue
  running   yes              the M in `g.m`                         no
  syscall   in C             the M in `g.m`                         no
  waiting   no               who takes it off the wait queue        wait queues
  dead      no               nobody; an extra M's G between calls   no

`TRANSITIONS` is the one table of legal moves. The hot paths in proc.py compare and store
in line (the comparison *is* the table's row); every other move goes through `casgstatus`.

Ownership, which is a safety matter: on free-threaded builds two threads that resume one coroutine
crash the interpreter. A G is resumed only by the M that took it off a run queue (`list.pop` and
`deque.popleft` hand an item to one taker), and gets onto one only by who owned its wake-up.

P is advisory: somebody else may take `m.p` at any moment (sysmon, gomaxprocs, the end of the
program do), under Sched.lock; so who gives it away does that under the same lock (releasep). Read
`m.p` once into a local and use that; every queue of a P stands several producers and consumers.

Relies on: append, pop and popleft of list and deque, add and discard of set, and one
attribute load or store, each being atomic on both builds.

Source: Go 1.27 runtime/runtime2.go, lock_futex.go (note). Tests: tests/runtime/test_runtime2.py
"""

from __future__ import annotations

import _thread
import functools
import itertools
import random
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextvars import Context
from types import BuiltinFunctionType, CodeType
from typing import Any, Final, TypeVar

from gopark._runtime.base.errors import FatalError, Throw
from gopark._runtime.base.frames import callers, currentframes, framein
from gopark._runtime.base.lockrank import Rank, lasting, mklock
from gopark._runtime.twin import MBase, PBase, Ring, SchedBase, native, slots

__all__ = (
    "DONE",
    "GOSCHED",
    "LOCKED",
    "PARK",
    "TRANSITIONS",
    "Around",
    "Command",
    "G",
    "Gone",
    "M",
    "Note",
    "P",
    "Point",
    "Sched",
    "Status",
    "Waiter",
    "allgs",
    "callers",
    "casgstatus",
    "codeof",
    "currentframes",
    "extragoids",
    "framein",
    "getg",
    "goids",
    "itemsof",
    *("park_point", "startedwith", "strays", "tls"),
)


class Status:
    """A state of a G. Compared by identity: beside integers 10 ns less per comparison."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


T = TypeVar("T")


def itemsof(queue: deque[T]) -> list[T]:
    """What is in it, at one moment.

    Not by `copy`: that of CPython 3.13 without a GIL waits for a lock that its own caller holds.
    It takes half a millisecond, and gives the lock away meanwhile.
    """
    while True:
        try:
            return list(queue)
        except RuntimeError:  # another thread has changed it on the way
            pass


# Without the GIL the frames of a thread, or of a coroutine that may be resumed, must not be
# read by another thread.
FREETHREADED: Final = not getattr(sys, "_is_gil_enabled", lambda: True)()

GIDLE: Final = Status("idle")
GRUNNABLE: Final = Status("runnable")
GRUNNING: Final = Status("running")
GSYSCALL: Final = Status("syscall")
GWAITING: Final = Status("waiting")
GDEAD: Final = Status("dead")

TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    GIDLE: frozenset({GRUNNABLE, GDEAD}),  # a goroutine starts; an extra M's G is made
    GRUNNABLE: frozenset({GRUNNING, GDEAD}),  # dead: the program ended first
    GRUNNING: frozenset({GRUNNABLE, GWAITING, GSYSCALL, GDEAD}),
    GSYSCALL: frozenset({GRUNNING, GRUNNABLE, GDEAD}),  # dead: dropm
    GWAITING: frozenset({GRUNNABLE, GRUNNING, GDEAD}),  # running: its thread was woken by the end
    GDEAD: frozenset({GSYSCALL, GRUNNABLE}),  # needm; a G off a free list is used again
}


strays: Final[list[Callable[[], None]]] = []  # set by lockedm.py


class Command:
    """What a goroutine's step hands to the scheduler loop. Compared by identity."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<gopark {self.name}>"

    @property
    def _asyncio_future_blocking(self) -> object:
        """A task of asyncio looks for it in what it is handed; what begins a wait is not for it.

        It tells the coroutine so a turn of its loop later, and other tasks come before that.
        """
        if self is PARK:
            for undo in strays:
                undo()
        raise AttributeError("_asyncio_future_blocking")


PARK: Final = Command("park")  # wait: m.waitunlockf lets the waker in
GOSCHED: Final = Command("gosched")  # back at the end of its P's queue
DONE: Final = Command("done")  # the function returned
LOCKED: Final = Command("locked")  # this G needs another thread than the one that asked


class Point(list[Command]):
    """An awaitable that yields one command to whoever drives the coroutine.

    Both the method and the iterator it returns are C: beside a generator this saves about
    100 bytes per parked goroutine, and no other awaitable is quicker (benchmarks/micro_park.py).
    `tuple.__iter__` would do too, but it is a slot wrapper, which Python calls in a slower way.
    """

    __slots__ = ()
    __await__ = list.__reversed__


park_point: Final[Awaitable[None]] = Point([PARK])  # type: ignore[assignment]


class Note:
    """A one-shot sleep and wake. One thread sleeps; any thread may wake it, at any time.

    A wake before the sleep is kept, several are one. So a sleeper checks what it was woken
    for and sleeps again if that is not there: a left-over wake is harmless.

    The sleeper may be in the network poller instead. Either sees the other:
      the sleeper                               who wakes it
      1. stores in `breaks` how to get it out   1. releases the lock
      2. tries the lock once more (`trylock`)   2. reads `breaks`, and calls it
    """

    __slots__ = ("_lock", "breaks", "trylock")

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self.trylock = self._lock.acquire  # with False: it has been woken, and that is used up
        self.trylock()
        self.breaks: Callable[[], object] | None = None

    def sleep(self, timeout: float = -1) -> bool:
        """Wait for a wake-up; False if `timeout` seconds passed without one."""
        # A lock's timeout has an upper bound; longer sleeps wake up early and look again.
        return self._lock.acquire(True, min(timeout, threading.TIMEOUT_MAX))

    def wakeup(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:
            pass  # already awake
        if (breaks := self.breaks) is not None:
            breaks()


class Waiter:
    """What a parked G waits on, for those who must take it off from outside (base class)."""

    __slots__ = ()

    def unwait(self, g: G) -> bool:
        """Take `g` off the wait queue. True: the caller now owns the wake-up."""
        raise Throw(f"{type(self).__name__} cannot give up goroutine {g.goid}")

    def wakers(self) -> list[Any] | None:
        """What others have to reach to end the wait; None if it may end by itself."""
        return None

    def elsewhere(self) -> str:
        """What outside of this process ends the wait; empty if goroutines do."""
        return ""

    def frozen(self, g: G, look: Callable[[G], list[Any]]) -> list[Any]:
        """`look(g)` while nobody can wake `g`; nothing if it has been woken."""
        return look(g)


class G:
    """A goroutine. Fields are its owner's (see the table above) unless a line says otherwise."""

    __slots__ = (
        "__weakref__",
        "bubble",  # set in a bubble alone: bubble.py
        "coro",  # the coroutine; None for a plain function and for a callback from C
        "ctx",  # the contextvars context it runs in
        "elem",  # channel op: the value to send, or the value received; None between two
        "goexiting",  # its number once goexit was called: what it comes to no longer matters
        "gocode",  # code, instruction and globals of the line that called `go`
        "goglobals",
        "goid",
        "gopc",
        "lockedcnt",  # depth of lock_os_thread; a callback from C counts as 1
        "lockedm",  # the M whose thread this G sits on, while it may run nowhere else
        "m",  # that runs it, or whose thread it is parked on; before that, of who has made it
        "parentid",
        "scope",  # once one was entered: scope.py
        "status",
        "step",  # an iterator: next(step, DONE) runs the goroutine to its next Command
        "success",  # channel op: True, unless a close has ended the wait
        "waiting",  # the Waiter it is parked on; written by the G before it parks
        "waitreason",
        "waitsince",  # monotonic seconds, as old as the loop's last look at the clock
    )

    # Chan's queues hold Gs and Sudogs of selects; the class tells which without a call.
    is_select: Final = False

    bubble: Any
    scope: Any
    coro: Coroutine[Any, Any, Any] | None
    ctx: Context | None
    elem: Any
    goexiting: int
    gocode: CodeType | None
    goglobals: dict[str, Any] | None
    goid: int
    gopc: int
    lockedcnt: int
    lockedm: M | None
    m: M | None
    parentid: int
    status: Status
    step: Iterator[Any] | None
    success: bool
    waiting: Waiter | None
    waitreason: str
    waitsince: float

    def __init__(self, goid: int) -> None:
        self.goid = goid
        self.status = GIDLE
        self.lockedm = self.m = self.elem = self.waiting = None
        self.lockedcnt = 0
        self.goexiting = 0
        self.success = True
        self.gocode = None
        self.parentid = 0

    def __repr__(self) -> str:
        return f"<G {self.goid} {self.status.name}>"

    def clear(self) -> None:
        """Drop all that a dead G must not hold: the counterpart of Go's dead stacks."""
        self.step = self.coro = self.ctx = self.elem = self.waiting = None
        self.m = self.lockedm = self.goglobals = self.gocode = None


if native is not None:
    native.install(GIDLE=GIDLE, GRUNNABLE=GRUNNABLE, GRUNNING=GRUNNING, GSYSCALL=GSYSCALL)
    native.install(GWAITING=GWAITING, GDEAD=GDEAD, PARK=PARK, GOSCHED=GOSCHED, DONE=DONE)
    G = native.G  # type: ignore[misc]


class M(MBase):
    """An OS thread that runs Gs, or an extra M that waits to be bound to a foreign thread."""

    __slots__ = slots(
        MBase,
        "clock",  # the CPU clock of its thread, for sysmon; None where there is none
        "ctx",  # extra M: the context entered on the thread, replaced when a callback used it
        "frames",  # free-threaded: where its G waits on this thread, for dumps by others
        "exc",  # raised in the G that waits on this thread once it wakes; set by who woke it
        "curg",  # the G whose code this thread executes, or holds on its stack while parked
        "g",  # extra M: its own G, dead between callbacks
        "handling",  # it calls signal handlers, amid what: see lockedm.py and onm0.py
        "hog",  # it computes without a P, and counts in Sched.nhogs; guarded by Sched.lock
        "ident",  # thread identifier; 0 while the M has no thread
        "idle",  # on Sched.midle; guarded by Sched.lock
        "lockedg",  # the G that lock_os_thread bound to this M
        "m0",  # the thread that called `run`: it runs coroutines but no plain function
        "mid",
        "nativeid",  # as the kernel numbers the thread
        "ncgo",  # depth of callbacks from C on this thread
        "nextp",  # the P handed over by who woke `park`
        "onthread",  # its G is a plain function, or locked to the thread: it may be long; M's own
        "p",  # advisory: read it once
        "park",
        "pinned",  # extra M: the destructor that the thread's exit will call
        "sched",
        "stays",  # extra M: its G has waited in `sched`, or has made timers there; see lockedm.py
        "spinning",  # woken to look for work, and none found yet; guarded by Sched.lock
        "trace",  # what it has recorded of late, while the program is traced: see trace.py
        "waitunlockf",  # set by the G just before it yields PARK; called once it is waiting
    )

    clock: int | None
    ctx: Context | None
    curg: G | None
    exc: BaseException | None
    frames: list[Any]
    g: G | None
    handling: str
    hog: bool
    ident: int
    idle: bool
    lockedg: G | None
    m0: bool
    mid: int
    nativeid: int
    ncgo: int
    nextp: P | None
    onthread: bool
    p: P | None
    park: Note
    pinned: object
    sched: Sched | None
    spinning: bool
    stays: bool
    trace: list[Any] | None
    waitunlockf: Callable[[None], object] | None

    def __init__(self, sched: Sched | None) -> None:
        self.mid = next(_mids)
        self.sched = sched
        self.park = Note()
        self.ident = self.nativeid = self.ncgo = 0
        self.p = self.nextp = self.curg = self.lockedg = self.g = self.ctx = None
        self.onthread = self.m0 = self.idle = self.spinning = self.hog = self.stays = False
        self.handling = ""
        self.clock = None
        self.exc = None
        self.frames = []
        self.pinned = self.waitunlockf = self.trace = None

    def __repr__(self) -> str:
        return f"<M {self.mid}>"


CAMEUP: Final = "its G has come up"  # M.handling
KEEPSP: Final = "it keeps its P"  # the same, where no G of its own waits: see onm0.py
GFREE: Final = 1024  # dead Gs that a P keeps, as in Go


class Gone:
    """In the place of `P.near` once gomaxprocs has taken a P away: as if there were an idle one,
    so that who still puts a G on its queue looks again (runq.py, spread)."""

    npidle: Final = 1


class P(PBase):
    """The right to schedule, with the queues that go with it."""

    __slots__ = slots(
        PBase, *("began", "gfree", "m", "near", "pid", "runnext", "runq", "schedtick", "sched")
    )

    def __init__(self, pid: int, sched: Sched) -> None:
        self.pid = pid
        self.sched = sched
        self.near: Sched | Gone = sched  # where a submitter reads whether a P is idle
        self.m: M | None = None  # who has it, or is about to; None while it is idle or gone
        self.runq: deque[G] = Ring()
        # At most one G, the one to run next. A list, since pop() is the atomic exchange.
        self.runnext: deque[G] = Ring()
        self.gfree: deque[G] = Ring(maxlen=GFREE)  # dead Gs, as G.__init__ leaves them
        self.schedtick = 0
        self.began = 0.0  # when the slice that runs now began, for sysmon

    def __repr__(self) -> str:
        return f"<P {self.pid}>"

    def empty(self) -> bool:
        return not self.runq and not self.runnext


class Sched(SchedBase):
    """One program: from the first use of the runtime, or `run`, until main returns.

    `lock` guards midle, pidle, allm, allp, npidle, nmspinning, nsyscall, the hogs, every M's
    `idle`, `spinning`, `hog` and `nextp`, the taking of a P from an M, and all decisions about
    who sleeps. It is held for a few lines, and nothing is called that could run user code.

    Read without it: `npidle` and `nmspinning` (by ready: stale means one wake-up more, or
    one that the M going idle makes up for, since it looks at all queues again after it has
    shown itself idle), and `ended` (a loop that misses it sees its P gone).
    """

    def __init__(self, gomaxprocs: int) -> None:
        self.lock = lasting(mklock(Rank.SCHED))
        self.runq: deque[G] = Ring()
        self.allp: list[P] = [P(i, self) for i in range(gomaxprocs)]
        self.pidle: list[P] = self.allp[::-1]
        self.npidle = gomaxprocs
        self.nmspinning = 0
        self.allm: list[M] = []
        self.midle: list[M] = []
        self.nhogs = 0  # see sysmon.py, as for the next four
        self.maxhogs = gomaxprocs
        self.hogq: deque[G] = deque()
        self.hogcodes: set[object] = set()
        self.hogwhen = 0.0
        self.sleepcodes: set[object] = set()
        self.careful = False  # some of them were met just now
        self.nsyscall = 0  # Ms of ours in cgo.call, without a P
        self.recheck = -1.0  # seconds until an idle M asks again whether the program is dead
        self.now = 0.0  # the clock as some M last read it, for `waitsince`
        self.pollm: M | None = None  # the idle M that sleeps until the next timer
        self.polluntil = 0.0
        self.ended = False
        self.forked = False  # it was the parent's, see rt0.py
        self.cleanup: Any = None  # once it has ended: what is still waited for, see cleanup.py
        self.main: G | None = None
        self.maincoro: Any = None  # an `async def` main's own coroutine, inside main's G
        self.m0: M | None = None
        self.maker: Any = None  # an M without a thread: see newproc.py; set by newsched
        self.held: deque[G] = deque()  # main, while M0 calls signal handlers: see onm0.py
        self.main_goexited = False
        self.result: Any = None
        self.exc: BaseException | None = None  # what main raised
        self.fatal: FatalError | None = None
        self.random = random.Random()
        self.host: Any = None  # the event loop that gopark.asyncio runs in it
        self.timers: Any = None  # a timer.Timers, from the module above; set by newsched


_mids = itertools.count(1)  # not 0, which ctypes hands to a destructor as None
extragoids: Final[set[int]] = set()  # numbers of the Gs of extra Ms; they outlive programs
# 1 is main's. Relies on: next() of a count hands out each number once.
goids = itertools.count(2) if native is None else native.Goids()

# Exactly the goroutines a user can see: from its start, or its C thread's coming in, to its end, or
# that thread's going back to C. A dump is a copy, so it cannot drift from the count.
allgs: Final[set[G]] = set() if native is None else native.Allgs()


class _TLS(_thread._local):
    m: M | None = None


tls: Final = _TLS()

if native is not None:

    class _NativeTLS(native.TLS):  # type: ignore[misc]
        """`m` is C's; what else a thread has is with the pure one."""

        __slots__ = ("pure",)

        @property
        def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
            found: dict[str, Any] = self.pure.__dict__
            return found

    _pure: Final = tls
    tls = _NativeTLS()  # type: ignore[misc]
    tls.pure = _pure


def getg() -> G | None:
    """The goroutine that the calling thread runs, or None."""
    m = tls.m
    return None if m is None else m.curg


def codeof(g: G) -> object:
    """The code that a goroutine was started with: how sysmon knows a function again.

    Of a function of C, itself; of any other object its class, for it may not be hashable, as a
    function of ctypes is not.
    """
    coro = g.coro
    if coro is not None:
        return getattr(coro, "cr_code", None)
    fn = startedwith(g)
    code = getattr(fn, "__code__", None)
    if isinstance(code, CodeType):
        return code
    return fn if fn is None or isinstance(fn, BuiltinFunctionType) else type(fn)


class Around:
    """A function of ours that calls the user's, which is `fn`, and sees to what comes after."""

    __slots__ = ()

    fn: Any


def startedwith(g: G) -> Any:
    """The user's function that a plain goroutine was started with; None if there is none."""
    fn = getattr(g.step, "fn", None)
    while True:
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif isinstance(fn, Around):
            fn = fn.fn
        else:
            return fn


def casgstatus(g: G, old: Status, new: Status) -> None:
    """Move `g` from `old` to `new`, or die naming both. Go: casgstatus."""
    if g.status is not old or new not in TRANSITIONS[old]:
        raise Throw(
            f"casgstatus: goroutine {g.goid} is {g.status.name}; "
            f"illegal move {old.name} -> {new.name}"
        )
    g.status = new
