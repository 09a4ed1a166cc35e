"""Doors of the scheduler to the layers above it, so that imports run one way.

A lower module calls `hooks.NAME`; the module that is named behind it sets it when that is imported.
Each is set before the first program runs. Who calls one looks it up at that moment, and keeps none:
`hooks.timebase` is exchanged by bubble.py, `hooks.round` while a program is traced.

Who wants to hear of every new goroutine is in `births`, of every wake-up in `wakes.heard`, lists
that the hot paths ask for nothing but whether they are empty. No name in another module is
exchanged for that, so it is the same for a caller that has bound the function long before, or that
is not Python.

Source: none; in Go the runtime is one package. Tests: tests/runtime/test_proc.py
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Protocol

from gopark._runtime.base.runtime2 import G, M, Note, P, Sched
from gopark._runtime.twin import native

__all__ = (
    *("Hooks", "NetDoor", "TimeBase", "WaitClock", "Wakes"),
    *("births", "hooks", "netdoor", "waitclock", "wakes"),
)


class TimeBase(Protocol):
    """What timers belong to: a program, or a bubble (bubble.py)."""

    timers: Any

    @property
    def ended(self) -> bool:
        """Its timers fire no more."""
        ...


class Hooks:
    """Doors to the layers above, set once by them, so that imports run one way."""

    mstart: Callable[[M], None]  # proc.py
    drainp: Callable[[P], None]  # runq.py
    goexit0: Callable[[M, G, BaseException | None], None]  # panic.py
    checkdead: Callable[[Sched], str | None]  # deadlock.py
    deadlock: Callable[[Sched, str], None]  # deadlock.py
    recheck: Callable[[], None]  # deadlock.py
    # cgocall.py: how a thread without a goroutine becomes one for the time of a call, and the same
    # beside another that it has.
    onforeign: Callable[[Callable[[], Any]], Any]
    borrow: Callable[[Callable[[], Any]], Any]
    badcommand: Callable[[M, G, object], None]  # lockedm.py
    parklocked: Callable[[M, G, object], None]  # lockedm.py
    extras: Callable[[], list[M]]  # extram.py
    mcount: Callable[[Sched], int]  # extram.py
    exhausted: Callable[[Sched], None]  # panic.py
    cameback: Callable[[M, Sched, BaseException | None], None]  # panic.py: a forked child
    newosproc: Callable[[Sched, M | None, P, bool, BaseException], None]  # newosproc.py
    sysmon: Callable[[], None]  # sysmon.py: start its thread
    updateprocs: Callable[[], None]  # gomaxprocs.py: follow the CPUs that there are
    recordframes: Callable[[M], None]  # traceback.py
    amid: Callable[..., bool]  # finq.py: a finalizer came in while this thread was in here
    later: Callable[..., None]  # finq.py: what it wants and cannot have now
    catchup: Callable[[], None]  # finq.py
    initsig: Callable[[], bool]  # signal_unix.py: handlers run at safe points from here on
    safepoint: Callable[[M], None]  # signal_unix.py: call those handlers that are pending
    minit: Callable[[], None]  # mfinal.py: what each new thread of ours sets up
    throw: Callable[[BaseException], None]  # panic.py
    abandon: Callable[[Sched, G | None], None]  # rt0.py
    refused: Callable[[Sched, M, G], bool]  # closing.py: it waits though its program has ended
    nomain: Callable[[], None]  # nomain.py
    cleanup: Callable[[Sched], Any]  # cleanup.py
    timebase: Callable[[], TimeBase]  # where the caller's timers go; bubble.py exchanges it
    # traceloop.py: stands for findrunnable while the program is traced; the Ms that are in it
    round: Callable[[M], G | None] | None = None
    rounds: Final[set[M]] = set()


hooks: Final = Hooks()

# Called by who makes a goroutine, in turn, before it is listed or on a queue, and may change it:
# bubble.py, ancestors.py, traceloop.py, proflabel.py, checkmode.py. Empty, as a rule.
# Relies on: append and remove are atomic, and who goes through it meanwhile misses at most one.
births: Final[list[Callable[[G], object]]] = []


class Wakes:
    """Who hears of each wake-up: called by `ready`, which owns the G, before that has done a thing.

    The profile of waits comes first, for a trace does itself what `ready` does, and says so by
    True; what metrics would count is not counted then.
    """

    profile: Callable[[G], bool] | None = None  # mprof.py
    trace: Callable[[G], bool] | None = None  # traceloop.py
    metrics: Callable[[G], bool] | None = None  # metrics.py
    heard: Final[list[Callable[[G], bool]]] = []  # those that are set, in this order

    def set(self, who: str, heard: Callable[[G], bool] | None) -> None:
        """`profile`, `trace` or `metrics` wants to hear of them, or no more."""
        setattr(self, who, heard)
        self.heard[:] = [f for f in (self.profile, self.trace, self.metrics) if f is not None]

    def hear(self, g: G) -> bool:
        """Tell them. True: one of them has made `g` runnable."""
        return any(heard(g) for heard in self.heard)


wakes: Final = Wakes()


_plainsince: Final[Any] = G.__dict__["waitsince"]
_nowsince: Final = property(_plainsince.__get__, lambda g, _: _plainsince.__set__(g, monotonic()))


class WaitClock:
    """How exact `G.waitsince` is: what is stored there is what the loop last saw on the clock.

    While waits are profiled it is the moment itself, whatever is stored.
    """

    exact: Final[list[bool]] = []  # not empty while it is

    def set(self, exact: bool) -> None:
        self.exact[:] = (True,) if exact else ()
        setattr(G, "waitsince", _nowsince if exact else _plainsince)  # noqa: B010 - mypy: a slot


waitclock: Final = WaitClock()


class NetDoor:
    """The network poller, as the scheduler sees it: set by net/netpoll.py."""

    # Not empty while a descriptor is open there: only then does anybody look.
    opened: Final[dict[int, Any]] = {}
    # The note of the one M that sleeps in `poll`, or is on its way there or back. Set under
    # Sched.lock; two that slept there would take each other's wake-ups.
    sleeper: Note | None = None
    # An item for each thread that has Gs in hand, and has not made them ready yet.
    inhand: Final[deque[None]] = deque()
    poll: Callable[[float], list[G]]  # whom to make ready; waits for so long, a negative: for ever
    ready: Callable[[list[G]], None]  # makes them so, after the caller has got a P, if it does
    waits: Callable[[], bool]  # some goroutine waits for the network, or is in somebody's hand
    wakeup: Callable[[], None]  # who sleeps in `poll` comes back


netdoor: Final = NetDoor()

if native is not None:
    native.install(births=births, wakes_heard=wakes.heard, exact=waitclock.exact, hooks=hooks)
