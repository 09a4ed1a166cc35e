"""The network poller: who waits on which descriptor, and until when.

Invariants, true whenever `PollDesc.lock` is free, for each direction (`r` and `w`):
  N1  `rg` is a parked G, or None; who takes it out, under the lock, owns the wake-up
  N2  `rready`, an edge that nobody has used yet, implies that `rg` is None
  N3  `rbad` exactly if the descriptor is closing or the direction's deadline has passed: what
      waits has been woken, and what comes raises
One G waits for a direction at a time; who else wants to, waits for its turn (_poll/fd.py).

A descriptor that is the runtime's own, that of a hosted event loop (gopark.asyncio), tells of what
others do with it: while nobody can (`idle`), who waits on it is no sign of life.

Edges. The poller is told of a descriptor once, when it is opened, and tells of each change once.
What nobody waits for is kept in `rready`. `rend`, once set, stays: the other side has gone, or
there is an error, and with data there comes no second edge for that, so that an empty buffer has to
be looked for by reading.

Who looks: an M between two slices of its loop (`poll(0)`, while nobody sleeps there), the one idle
M that sleeps (`Sched.pollm`), and sysmon, where no M has come to it for ten milliseconds. Several
may at once; the kernel tells one of them. What they find they make ready by the same door as all
who wake others (`ready`), after they have got a P if there is one to be had. Until then those Gs
are in hand (`_inhand`), and the program is not dead.

A resident. The first hosted loop that there is has the poller's own epoll in that of its selector,
and not the other way round: while the loop waits, who looks looks at the loop's, and has with the
same system call what asyncio's `select` would have told. While the loop runs it looks itself, and
others look at the poller's alone, so that nobody spins on what it has yet to read. The sleeper, and
the loop that begins to wait (`resumes`):
  1. `sleeper` is set                   1. sets `rg`
  2. reads `rg`, says what it sleeps    2. somebody sleeps, and not through here: wakes him, to
     on (`_through`), and sleeps           look again
Either sees the other.

Deadlines. A timer per direction, which is left alone if it fires too early: then it looks at the
deadline, and sets itself anew. So to move a deadline on, at each request, touches no heap.

Fork. The child has a poller of its own, made when it is first needed. What it has inherited is
opened there when it is first waited for (`rbad`, until then); who waited was the parent's.

Locks: `PollDesc.lock`, rank NETPOLL, never taken under Sched.lock. No G is made ready under it.
Source: Go 1.27 runtime/netpoll.go. Tests: tests/net/test_netpoll.py
"""

from __future__ import annotations

import contextlib
import os
import select
import weakref
from collections.abc import Callable
from typing import Any, Final

from gopark._runtime.base.errors import AmidRuntime
from gopark._runtime.base.hooks import hooks, netdoor
from gopark._runtime.base.lockrank import (
    Holding,
    Rank,
    Regaining,
    debugvar,
    lasting,
    lockslow,
    mkmutex,
    setfree,
)
from gopark._runtime.base.runtime2 import G, Waiter
from gopark._runtime.sched.finq import later
from gopark._runtime.sched.runq import ready
from gopark._runtime.sched.startm import current, wakepoller
from gopark._runtime.sched.timer import Timer, Timers
from gopark._runtime.twin import PollDescBase, native, slots

__all__ = ("REASON", "PollDesc", "leaves", "netpollinit", "reside", "resumes", "wantedbackend")

REASON: Final = "IO wait"
_MAXEVENTS: Final = 128  # as Go; what more there is comes with the next look
_MOST: Final = 1e6  # seconds: early enough for the next look; the system counts to twice that

_opened: Final = netdoor.opened  # by descriptor, weak references: who forgets one closes it
_inhand: Final = netdoor.inhand
_initlock: Final = lasting(mkmutex(Rank.NETPOLL))
_backend: Any = None
_resident: Final[list[Any]] = []  # a weak reference to the PollDesc of the loop that is, if any
_through: list[Any] = []  # the resident that the sleeper sleeps through, if he does
_lastwait: list[Any] = []  # a weak reference to the last descriptor on which a G was seen to wait


class PollDesc(PollDescBase, Waiter):
    """One descriptor in the poller. Go: pollDesc."""

    __slots__ = slots(
        PollDescBase,
        "__weakref__",
        "_rt",  # the timers of the deadlines
        "_wt",
        "backend",  # where it is open; None before, and in a child that has not waited yet
        "closing",
        "fd",
        "lock",
        "rbad",
        "rd",  # the deadlines, on the clock of the timer; None without one
        "ref",
        "rend",
        "rg",
        "rready",
        "unlock",
        "wbad",
        "wd",
        "wg",
        "wready",
    )

    resident = False
    idle = False  # nothing from outside can end a wait on it; asked with Sched.lock held

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.lock = lock = mkmutex(Rank.NETPOLL)
        self.unlock = lock.append
        self.rg: G | None = None
        self.wg: G | None = None
        self.rready = self.wready = self.rend = False
        self.rbad = self.wbad = self.closing = False
        self.rd: float | None = None
        self.wd: float | None = None
        self._rt: Timer | None = None
        self._wt: Timer | None = None
        self.backend: Any = None
        self.ref = weakref.ref(self)
        self.register()

    def register(self) -> None:
        """Into the poller. Go: poll_runtime_pollOpen.

        Raises:
            OSError: it cannot be waited for, or there is no room for it.
        """
        backend = netpollinit()
        _opened[self.fd] = self.ref  # before, for the first edge may come at once
        try:
            self.opened(backend)
        except BaseException:
            self._forget()
            raise
        self.backend = backend
        if netdoor.sleeper is None and (sched := current()) is not None:
            wakepoller(sched)  # who waits next may have no P, and all others sleep

    def opened(self, backend: Any) -> None:
        backend.open(self.fd)

    def _forget(self) -> bool:
        """False: the descriptor was closed by others, and the number is another's now."""
        if _opened.get(self.fd) is not self.ref:
            return False
        del _opened[self.fd]
        return True

    # --- what waits on it ------------------------------------------------------------------

    def check(self, write: bool) -> None:
        """Raise if a wait in this direction would; called where `rbad`, or `wbad`, is set.

        Raises:
            ValueError: the descriptor is closing.
            TimeoutError: the deadline has passed.
        """
        if self.closing:
            raise ValueError("closed")
        if self.backend is None:
            self._adopt()
        if self.wbad if write else self.rbad:
            raise TimeoutError("i/o timeout")

    def _adopt(self) -> None:
        """In the child of a fork: into the poller of this process."""
        netpollinit()
        with Holding(self.lock):
            if self.closing or self.backend is not None:
                return
            self.register()
            self.rbad = self.wbad = False
        for when, read in ((self.rd, True), (self.wd, False)):
            if when is not None:  # the timers were the parent's
                self.setdeadline(when, read, not read)

    def take(self, write: bool) -> G | None:
        """Whoever waits; the caller holds the lock, and owns the wake-up. Go: netpollunblock."""
        if write:
            g, self.wg = self.wg, None
        else:
            g, self.rg = self.rg, None
        if g is not None:
            g.waiting = None
        return g

    def unwait(self, g: G) -> bool:
        with Regaining(self.lock):
            if self.rg is g:
                self.rg = None
            elif self.wg is g:
                self.wg = None
            else:
                return False
            g.waiting = None
            return True

    def frozen(self, g: G, look: Callable[[G], list[Any]]) -> list[Any]:
        with Holding(self.lock):
            return look(g) if g.waiting is self else []

    # --- deadlines -------------------------------------------------------------------------

    def setdeadline(
        self, when: float | None, read: bool, write: bool, timers: Timers | None = None
    ) -> None:
        """None: without one. If it has passed, who waits is woken. Go: pollSetDeadline.

        Args:
            when: On the clock of the timers.
            timers: None: the caller's; in a bubble, its own.
        """
        if timers is None:
            timers = hooks.timebase().timers
        passed = when is not None and when <= timers.clock()
        reader = writer = None
        wake = False
        with Holding(self.lock):
            if self.closing:
                return
            # First what may fail, for want of memory: then nothing has changed. A timer that is
            # early looks at the deadline, and finds the old one.
            if when is not None and not passed:
                wake = read and self._arm(False, when, timers)
                wake = (write and self._arm(True, when, timers)) or wake
            fresh = self.backend is None  # in a child that has not waited yet: `check` goes on
            if read:
                self.rd, self.rbad = when, passed or fresh
                reader = self.take(False) if passed else None
            if write:
                self.wd, self.wbad = when, passed or fresh
                writer = self.take(True) if passed else None
        if wake:
            timers.wake()
        if reader is not None:
            ready(reader)
        if writer is not None:
            ready(writer)

    def _arm(self, write: bool, when: float, timers: Any) -> bool:
        """Have a timer that fires by then; True: the caller wakes who sleeps until the next."""
        t = self._wt if write else self._rt
        if t is not None and t.timers is timers:
            if t.seq and t.when <= when:
                return False  # it fires early, and looks again
            first: bool = timers.modify(t, when, (self.ref, write))[1]
            return first
        if t is not None:
            t.stop()  # of another program, or of a bubble
        t = Timer(timers, when, _fire, (self.ref, write))
        if write:
            self._wt = t
        else:
            self._rt = t
        first = timers.add(t)
        return first

    def expire(self, write: bool) -> None:
        """Its timer has fired. Go: netpolldeadlineimpl."""
        g = None
        timers, wake = None, False
        with Holding(self.lock):
            when, t = (self.wd, self._wt) if write else (self.rd, self._rt)
            if when is None or t is None or self.closing:
                return
            timers = t.timers
            if when > timers.clock():
                wake = self._arm(write, when, timers)
            else:
                if write:
                    self.wbad = True
                else:
                    self.rbad = True
                g = self.take(write)
        if wake:
            timers.wake()
        if g is not None:
            ready(g)

    # --- the end ---------------------------------------------------------------------------

    def evict(self) -> None:
        """It is closing, and the caller, who holds the lock, is to wake who waits."""
        self.closing = self.rbad = self.wbad = True

    def unregister(self) -> None:
        """Out of the poller, before the descriptor is closed. Go: poll_runtime_pollClose."""
        for t in (self._rt, self._wt):
            if t is not None:
                t.stop()
        self._rt = self._wt = None
        if self._forget() and self.backend is not None and self.backend is _backend:
            self.backend.close(self.fd)

    def forked(self) -> None:
        """In the child: who waited was the parent's. Who waits here next opens it (`check`)."""
        self.rg = self.wg = None
        self.rready = self.wready = False
        self.backend = None
        self.rbad = self.wbad = True


def _fire(who: tuple[Callable[[], PollDesc | None], bool]) -> None:
    """A deadline's timer; it keeps no descriptor that everybody else has forgotten."""
    ref, write = who
    pd = ref()
    if pd is None:
        return
    try:
        pd.expire(write)
    except AmidRuntime:
        later(pd.expire, write)
    except MemoryError as exc:  # nobody else would look at the deadline again
        hooks.throw(exc)


# --- the poller --------------------------------------------------------------------------------


def wantedbackend() -> str:
    """`epoll` where there is one, unless GOPARKDEBUG says `netpoll=poll`."""
    return "epoll" if hasattr(select, "epoll") and debugvar("netpoll") != "poll" else "poll"


def netpollinit() -> Any:
    """The poller of this process, which is made when it is first needed."""
    global _backend
    if _backend is None:
        with Holding(_initlock):
            if _backend is None:
                if wantedbackend() == "epoll":
                    from gopark._runtime.net.netpoll_epoll import Epoll

                    _backend = Epoll()
                else:
                    from gopark._runtime.net.netpoll_poll import Poll

                    _backend = Poll()
    return _backend


def netpoll(timeout: float) -> list[G]:
    """Whom to make ready, who is in the caller's hand until `netready`. Go: netpoll."""
    backend = _backend
    gs: list[G] = []
    if backend is None:
        return gs
    try:
        if timeout > _MOST:
            timeout = _MOST
        for ref in _resident:
            pd = ref()
            if pd is not None and pd.rg is not None:
                events = _lookthrough(pd, backend, timeout, gs)
                break
        else:
            events = backend.poll(timeout, _MAXEVENTS)
            if events:
                _inhand.append(None)
            else:
                events = None
        if events is None:
            return gs
        _edges(backend, _opened, events, timeout != 0, gs)
    except MemoryError as exc:  # what the kernel has told once it does not tell again
        hooks.throw(exc)
    if not gs:
        _inhand.pop()
    return gs


def _edges(
    backend: Any, opened: dict[int, Any], events: list[tuple[int, int]], slept: bool, gs: list[G]
) -> None:
    """Who waits for one of these goes to `gs`; what nobody waits for is kept."""
    r, w, end, get = backend.R, backend.W, backend.END, opened.get
    for fd, ev in events:
        ref = get(fd)
        pd = None if ref is None else ref()
        if pd is None:
            if slept:
                backend.drain(fd)
            continue
        lock = pd.lock
        try:
            lock.pop()
        except IndexError:
            lockslow(lock)
        if ev & end:
            pd.rend = True
        if ev & r:
            g = pd.rg
            if g is None:
                pd.rready = True
            else:
                pd.rg = g.waiting = None
                gs.append(g)
        if ev & w:
            g = pd.wg
            if g is None:
                pd.wready = True
            else:
                pd.wg = g.waiting = None
                gs.append(g)
        lock.append(None)


def _lookthrough(pd: Any, backend: Any, timeout: float, gs: list[G]) -> Any:
    """Look at a loop's descriptors, and through these at the poller's, whose events are returned.

    None: there is nothing. What the loop is to know it is given if it still waits; it will look
    itself otherwise.
    """
    if timeout:
        _through.append(pd)
        try:
            events = pd.look(timeout)
        finally:
            _through.clear()
    else:
        events = pd.look(0)
    if not events:
        return None
    _inhand.append(None)
    own, told, lock = backend.own, False, pd.lock
    for event in events:
        if event[0] == own:
            told = True
            events.remove(event)
            break
    if events:
        try:
            lock.pop()
        except IndexError:
            lockslow(lock)
        g = pd.rg
        if g is None:
            pd.rready = True  # it looks itself
        else:
            pd.rg = g.waiting = None
            pd.selector.events = events
            gs.append(g)
        lock.append(None)
    return backend.poll(0, _MAXEVENTS) if told else []


def reside(pd: PollDesc, register: Callable[[int, int], object]) -> bool:
    """Let the poller look through the epoll of a loop. False: it does so through another's."""
    backend = netpollinit()
    if wantedbackend() != "epoll":
        return False
    with Holding(_initlock):
        for ref in _resident:
            other = ref()
            if other is not None and not other.closing:
                return False
        register(backend.own, select.EPOLLIN)
        _resident[:] = (pd.ref,)
    return True


def resumes(pd: PollDesc) -> None:
    """The resident is about to wait, and somebody sleeps: he is to sleep through it."""
    if pd not in _through:
        netwakeup()


def leaves(pd: PollDesc) -> None:
    """The epoll of the resident is about to be closed."""
    with Holding(_initlock):
        if _resident == [pd.ref]:
            _resident.clear()
    netwakeup()


def netready(gs: list[G]) -> None:
    """Make ready what `netpoll` has found. Go: injectglist."""
    if gs:
        for g in gs:
            ready(g)
        _inhand.pop()


def netwaits() -> bool:
    """A goroutine waits for the network, or is in somebody's hand. Go: netpollAnyWaiters.

    Called with Sched.lock held, so no lock is taken. Who takes a G has said so before (`_inhand`):
    in this order one is seen in one place or the other.
    """
    for ref in _lastwait:
        pd = ref()
        if pd is not None and (pd.rg is not None or pd.wg is not None) and not pd.idle:
            return True
    for ref in _opened.copy().values():
        pd = ref()
        if pd is not None and (pd.rg is not None or pd.wg is not None) and not pd.idle:
            _lastwait[:] = (ref,)
            return True
    return bool(_inhand)


def netwakeup() -> None:
    backend = _backend
    if backend is not None:
        backend.wakeup()


def _afterfork() -> None:
    global _backend
    backend, _backend = _backend, None
    netdoor.sleeper = None
    _inhand.clear()
    _lastwait.clear()
    _resident.clear()
    _through.clear()
    pds = [pd for ref in _opened.values() if (pd := ref()) is not None]
    _opened.clear()
    for pd in pds:
        setfree(pd.lock)
        pd.forked()
    if backend is not None:
        with contextlib.suppress(OSError):
            backend.dispose()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_afterfork)

if native is not None:
    _edges = native.edges

netdoor.poll = netpoll
netdoor.ready = netready
netdoor.waits = netwaits
netdoor.wakeup = netwakeup
