"""select: wait on several channels, exactly one of which acts.

A select goes in passes, as Go's does, with all its channels locked in ascending order:
  1. look for the cases that can go now, and do a random one of them
  2. if there is none: put a Sudog on every channel's queue and park; the unlock function
     unlocks them all, so nobody sees half of a select
  3. woken: find the case that won (`g.elem` is its Sudog) and take the others off

One token for all Sudogs of a select decides the winner (chan.py), so no channel needs to
know of the others. A None channel is never ready and never queued.

Source: Go 1.27 runtime/select.go. Tests: tests/runtime/test_selectgo.py, test_chan_model.py
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from random import Random
from typing import Any, Final, Generic, TypeVar

from gopark._runtime.base.errors import AmidRuntime, ClosedChannelError, NotOnGError
from gopark._runtime.base.lockrank import Regaining, lock
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import PARK, Command, G, Waiter, park_point, tls
from gopark._runtime.base.suspend import suspends
from gopark._runtime.chan.chan import SEND_CLOSED, Chan, wake
from gopark._runtime.chan.sudog import Entry, Sudog
from gopark._runtime.sched.lockedm import notparked
from gopark._runtime.twin import SelectingBase, native, slots

__all__ = ("RecvCase", "SendCase", "recv", "select", "send")

T = TypeVar("T")

_rng: Final = Random()
_random: Final = _rng.random
_shuffle: Final = _rng.shuffle

# Pass 1, and pass 2 up to the wait, where the twin has them: a result, what waits, or None.
_begin: Callable[[tuple[Any, ...], bool], Any] | None = None

Result = tuple[int, Any, bool]


class RecvCase(Generic[T]):
    """A case of `select` that receives; made by `recv`."""

    __slots__ = ("ch",)
    is_send: Final = False

    def __init__(self, ch: Chan[T] | None) -> None:
        self.ch = ch


class SendCase(Generic[T]):
    """A case of `select` that sends; made by `send`."""

    __slots__ = ("ch", "value")
    is_send: Final = True

    def __init__(self, ch: Chan[T] | None, value: T) -> None:
        self.ch = ch
        self.value = value


Case = RecvCase[Any] | SendCase[Any]
Polled = tuple[int, Case, Chan[Any]]


def recv(ch: Chan[T] | None) -> RecvCase[T]:
    """A case of `select` that receives from `ch`; None is a channel that is never ready.

    Raises:
        TypeError: `ch` is neither a channel nor None.
    Example:
        >>> async def main():
        ...     ch = gopark.Chan(1)
        ...     await ch.send("a")
        ...     print(await gopark.select(gopark.recv(ch)))
        >>> gopark.run(main)
        (0, 'a', True)

    Go: `case v, ok := <-ch`.
    """
    if ch is not None and not isinstance(ch, Chan):
        raise TypeError(f"recv() needs a Chan or None, got {shown(ch)}")
    return RecvCase(ch)


def send(ch: Chan[T] | None, value: T) -> SendCase[T]:
    """A case of `select` that sends `value` on `ch`; None is a channel that is never ready.

    Raises:
        TypeError: `ch` is neither a channel nor None.
    Example:
        >>> async def main():
        ...     ch = gopark.Chan(1)
        ...     print(await gopark.select(gopark.send(ch, "a")))
        >>> gopark.run(main)
        (0, None, False)

    Go: `case ch <- value`.
    """
    if ch is not None and not isinstance(ch, Chan):
        raise TypeError(f"send() needs a Chan or None, got {shown(ch)}")
    return SendCase(ch, value)


async def select(*cases: Case, default: bool = False) -> Result:
    """Wait until one of several channel operations can go, and do exactly that one.

    Args:
        cases: `recv(ch)` and `send(ch, v)`. Of those that are ready one is chosen at random.
        default: Do not wait: index -1 if no case is ready.
    Returns:
        `(index, value, ok)`: which case, the value received and whether it is one (False
        for a closed channel, and for a send).
    Raises:
        ClosedChannelError: the chosen case sends on a closed channel.
        TypeError: a case is not one.
    Example:
        >>> async def main():
        ...     a, b = gopark.Chan(1), gopark.Chan(1)
        ...     await b.send("from b")
        ...     print(await gopark.select(gopark.recv(a), gopark.recv(b)))
        ...     print(await gopark.select(gopark.recv(a), default=True))
        >>> gopark.run(main)
        (1, 'from b', True)
        (-1, None, False)

    Go: the `select` statement.
    """
    if _begin is not None:
        try:
            begun = _begin(cases, default)
        except AmidRuntime:
            if default:
                return -1, None, False
            raise
        if begun is not None:
            return begun if type(begun) is tuple else await _waits(cases, begun)
    polled = _live(cases)
    if not polled:
        return await _nocases(bool(cases), default)
    chans = _lockorder(polled)
    try:
        _lock(chans)
    except AmidRuntime:
        if default:
            return -1, None, False
        raise
    waiting = None
    try:
        done, entry = _poll(polled)
        if done is None and not default:
            waiting = _park(polled, chans)
    except BaseException:
        _unlock(chans)
        raise
    if waiting is not None:
        return await _waits(cases, waiting)
    _unlock(chans)
    if entry is not None:
        wake(entry)
    return (-1, None, False) if done is None else done


def _live(cases: tuple[Case, ...]) -> list[Polled]:
    polled = []
    for i, case in enumerate(cases):
        if not isinstance(case, (RecvCase, SendCase)):
            several = "; for a list of cases write select(*cases)" if _iscases(case) else ""
            raise TypeError(
                f"select: case {i} is {shown(case)}; a case is gopark.recv(ch) or "
                f"gopark.send(ch, v){several}"
            )
        if case.ch is not None:
            polled.append((i, case, case.ch))
    return polled


def _iscases(case: object) -> bool:
    cases = (RecvCase, SendCase)
    return isinstance(case, (list, tuple)) and any(isinstance(one, cases) for one in case)


def _lockorder(polled: list[Polled]) -> list[Chan[Any]]:
    """Each channel once, ascending: two selects over the same channels cannot deadlock."""
    if len(polled) == 1:
        return [polled[0][2]]
    by_id = {id(ch._lock): ch for _, _, ch in polled}
    return [by_id[key] for key in sorted(by_id)]


def _lock(chans: list[Chan[Any]]) -> None:
    for n, ch in enumerate(chans):
        try:
            lock(ch._lock)
        except BaseException:
            _unlock(chans[:n])
            raise


def _unlock(chans: list[Chan[Any]]) -> None:
    for ch in reversed(chans):
        ch._lock.append(None)


def _poll(polled: list[Polled]) -> tuple[Result | None, Entry | None]:
    """Pass 1: do one of the cases that can go. Also whom that wakes. All locks held.

    Go shuffles the cases first; choosing among those that seem ready is as fair, and takes
    half the time of a select over eight channels. A queue may hold nothing but selects that
    were won elsewhere, so what seems ready may not be, and then the next one is tried.
    """
    maybe = [one for one in polled if one[2].maybeready(one[1].is_send)]
    while maybe:
        i, case, ch = maybe.pop(int(_random() * len(maybe)))
        if isinstance(case, SendCase):
            sent, entry = ch.sendlocked(case.value)
            if sent:
                return (i, None, False), entry
        else:
            taken, entry = ch.recvlocked()
            if taken is not None:
                return (i, *taken), entry
    return None, None


def _park(polled: list[Polled], chans: list[Chan[Any]]) -> _Selecting:
    """Pass 2: the calling G on every queue. The locks stay taken until it has parked."""
    m = tls.m
    if m is None or (g := m.curg) is None:
        raise NotOnGError(
            "select has to wait, and this thread runs no goroutine: in plain code use "
            "gopark.block(gopark.select(...)), under another event loop default=True"
        )
    if len(chans) < len(polled):
        _shuffle(polled)  # cases on one channel: whoever comes shall not always meet the first
    waiting = _Selecting(g, polled, chans)
    waiting.enqueue()
    g.elem = None
    g.waiting = waiting
    g.waitreason = "select"
    m.waitunlockf = waiting.arm if waiting.timed else waiting.unlock
    return waiting


def _waits(cases: tuple[Case, ...], waiting: _Selecting) -> Coroutine[Any, Any, Result]:
    """What to await; where there is no memory for it, nobody waits and no lock is left."""
    try:
        return _wait(cases, waiting)
    except BaseException:
        waiting.undo()
        raise


@suspends
def _wait(cases: tuple[Case, ...], waiting: _Selecting) -> Generator[Command, None, Result]:
    """Pass 3."""
    g = waiting.g
    try:
        _ = None is (None is (yield PARK))
    except BaseException as exc:
        quicker = False
        try:
            quicker = notparked(waiting, exc, takes=True)
        finally:
            if not quicker:
                waiting.leave()  # one case may have won all the same
                g.elem = None
        if not quicker:
            raise
    won = g.elem
    g.elem = g.waiting = None
    waiting.leave()
    if cases[won.case].is_send:
        if not won.success:
            raise ClosedChannelError(SEND_CLOSED)
        return won.case, None, False
    return won.case, won.elem, won.success


async def _nocases(had_some: bool, default: bool) -> Result:
    """Only None channels, or nothing at all: wait for ever, or take the default."""
    if default:
        return -1, None, False
    m = tls.m
    if m is None or (g := m.curg) is None:
        raise NotOnGError("select with no cases waits for ever, and this thread runs no goroutine")
    g.waiting = _FOREVER
    g.waitreason = "select" if had_some else "select (no cases)"
    m.waitunlockf = _nothing
    try:
        await park_point
    except BaseException as exc:
        notparked(_FOREVER, exc)
        raise
    raise AssertionError("a select with no cases was woken")


def _nothing(_: None) -> None:
    """The unlock function of a wait that nobody can end."""


class _Forever(Waiter):
    __slots__ = ()

    def wakers(self) -> list[Any] | None:
        return []

    def unwait(self, g: G) -> bool:
        g.waiting = None
        return True


_FOREVER: Final = _Forever()


class _Selecting(SelectingBase, Waiter):
    """A select that waits: its Sudogs, one for each case."""

    __slots__ = slots(SelectingBase, "chans", "g", "sudogs", "timed", "token")

    def __init__(self, g: G, polled: list[Polled], chans: list[Chan[Any]]) -> None:
        self.g = g
        self.chans = chans
        self.timed = False
        self.token: list[Sudog | None] = [None] if native is None else native.Token()
        self.sudogs: list[tuple[Chan[Any], bool, Sudog]] = []
        for i, case, ch in polled:
            value = case.value if isinstance(case, SendCase) else None
            sudog = Sudog(g, i, value, self.token)
            if ch.timed:
                self.timed = True
            self.sudogs.append((ch, case.is_send, sudog))

    def enqueue(self) -> None:
        done = 0
        try:
            for ch, is_send, sudog in self.sudogs:
                (ch._sendq if is_send else ch._recvq).append(sudog)
                done += 1
        except BaseException:  # no memory
            del self.sudogs[done:]
            self.dequeue()
            raise

    def dequeue(self) -> None:
        """Off every queue, with all locks held since `enqueue`: each is the last one there."""
        for ch, is_send, sudog in reversed(self.sudogs):
            ch.leave(ch._sendq if is_send else ch._recvq, sudog)

    def undo(self) -> None:
        """This wait is not to be: as if it had not begun."""
        self.dequeue()
        self.g.waiting = None
        if (m := tls.m) is not None:
            m.waitunlockf = None
        self.unlock()

    def unlock(self, _: None = None) -> None:
        _unlock(self.chans)

    def arm(self, _: None = None) -> None:
        """The unlock function of a select that waits for a timer: that one is to run now."""
        wakers = [ch.arm() for ch in self.chans if ch.timed]
        _unlock(self.chans)
        for timers in wakers:
            if timers is not None:
                timers.wake()

    def leave(self) -> None:
        """Pass 3: off every queue, keeping nothing alive where a Sudog has to stay a while.

        Nor where this object does: an M keeps its last unlock function until its next wait, which
        may be never, and the Sudog that won has the value.
        """
        for ch, is_send, sudog in self.sudogs:
            if sudog.queued:
                with Regaining(ch._lock):
                    ch.leave(ch._sendq if is_send else ch._recvq, sudog)
                    sudog.forget()
        self.sudogs = []

    def frozen(self, g: G, look: Callable[[G], list[Any]]) -> list[Any]:
        for ch in self.chans:
            lock(ch._lock)
        try:
            return look(g) if self.token else []
        finally:
            self.unlock()

    def wakers(self) -> list[Any] | None:
        if any(ch.wakers() is None for ch in self.chans):
            return None
        return [*self.chans]

    def unwait(self, g: G) -> bool:
        try:
            self.token.pop()
        except IndexError:
            return False
        self.leave()
        g.waiting = None
        return True


if native is not None:
    native.install(chan=Chan, recvcase=RecvCase, sendcase=SendCase)
    native.install(selecting=_Selecting, leaveslow=_Selecting.leave)
    del _Selecting.leave, _Selecting.unlock  # those of its base stand for them
    _begin = native.selectbegin
