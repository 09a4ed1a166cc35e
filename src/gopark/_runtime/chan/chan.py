"""Channels: values handed from goroutine to goroutine.

Invariants, true whenever `Chan._lock` is free:
  C1  closed               => no G waits on either side
  C2  buffer holds a value => no receiver waits
  C3  buffer has room      => no sender waits
  C4  both sides wait      => the waiters are selects, and one of them is on both sides

Wait queues (sudog.py) hold the G itself for a plain operation (its value is in `g.elem`) and a
Sudog for a case of a select. First come, first served; a value goes from sender to receiver
directly, never through the buffer, when one waits for it.

Who owns a wake-up: the one who took the entry off the queue and, for a Sudog, won the
select's token (`Sudog.claim`: `list.pop` is atomic, so one case wins). A Sudog whose select
was won elsewhere is skipped; the select takes its other Sudogs off itself, in O(1): at an
end of the queue at once, in the middle by marking them, and the marked ones are swept out
when they are the majority.

An operation decides under the lock and acts after: what it wakes, it wakes with the lock
released, and an exception on the way (a recursion limit, no memory) releases it too.

Locks: `_lock`, rank CHAN; a select takes several, by ascending id. A G is made ready after
the lock is released.
Source: Go 1.27 runtime/chan.go. Tests: tests/runtime/test_chan.py, test_chan_model.py
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, ClassVar, Final, Generic, TypeVar

from gopark._runtime.base.errors import AmidRuntime, ClosedChannelError, NotOnGError, nocopy
from gopark._runtime.base.lockrank import Holding, Mutex, Regaining, lockslow, mkmutex
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import PARK, Command, G, Waiter, tls
from gopark._runtime.base.suspend import suspends
from gopark._runtime.chan.sudog import Entry, Sudog, WaitQ, discard
from gopark._runtime.sched.finq import later
from gopark._runtime.sched.lockedm import block, notparked
from gopark._runtime.sched.runq import ready
from gopark._runtime.sched.timer import Timers
from gopark._runtime.twin import ChanBase, Ring, native, slots

__all__ = ("SEND_CLOSED", "Chan", "wake")

T = TypeVar("T")

SEND_CLOSED: Final = "send on closed channel"
_CLOSE_CLOSED: Final = "close of closed channel"
_SWEEP: Final = 32  # a queue shorter than this is not worth sweeping


_MAXCAP: Final = sys.maxsize // 8  # so many references fit into what a process can address


def claimed(ch: Chan[Any], entry: Sudog) -> bool:
    """A select's case was taken off: may it have what comes, or has another case won?"""
    entry.queued = False
    if entry.marked:
        ch._nmarked -= 1
        return False
    return entry.claim()


def wake(entry: Entry) -> None:
    """Make the G behind an entry runnable; no lock held."""
    ready(entry.g if entry.is_select else entry)  # type: ignore[union-attr, arg-type]


class Chan(ChanBase, Waiter, Generic[T]):
    """A channel: `await ch.send(v)` and `v = await ch.recv()` meet.

    Args:
        capacity: How many values it holds without a receiver. 0: sender and receiver meet.
    Raises:
        ValueError: `capacity` is negative, or more than fits into memory.
        TypeError: `capacity` is not an integer.
    Example:
        >>> async def main():
        ...     ch = gopark.Chan[int](2)
        ...     await ch.send(1)
        ...     await ch.send(2)
        ...     ch.close()
        ...     print([v async for v in ch])
        >>> gopark.run(main)
        [1, 2]

    Go: `make(chan T, capacity)`.
    """

    __slots__ = slots(
        ChanBase,
        "__weakref__",
        *("_buf", "_closed", "_lock", "_unlock", "_nmarked", "_recvq", "_sendq", "cap"),
    )

    cap: int
    timed: ClassVar[bool] = False  # the channel of a timer: see timechan.py

    def __init__(self, capacity: int = 0) -> None:
        if not isinstance(capacity, int) or isinstance(capacity, bool):
            raise TypeError(f"makechan: Chan() needs an integer as capacity, got {shown(capacity)}")
        if not 0 <= capacity <= _MAXCAP:
            raise ValueError(f"makechan: size out of range: Chan({shown(capacity)})")
        self.cap = capacity
        self._lock: Mutex = mkmutex()
        self._unlock = self._lock.append
        self._nmarked = 0  # entries of the two queues that are marked
        self._buf: deque[T] = Ring()
        self._recvq: WaitQ = Ring()
        self._sendq: WaitQ = Ring()
        self._closed = False

    def __len__(self) -> int:
        """The number of values in the buffer. Go: len(ch)."""
        return len(self._buf)

    __reduce_ex__ = nocopy

    def __bool__(self) -> bool:
        return True  # an empty channel is still a channel

    def __repr__(self) -> str:
        closed = " closed" if self._closed else ""
        return f"<Chan {len(self._buf)}/{self.cap}{closed} at {id(self):#x}>"

    # --- send ----------------------------------------------------------------------------

    @suspends
    def send(self, value: T) -> Generator[Command, None, None]:
        """Send a value; wait until a receiver or the buffer takes it.

        Args:
            value: Anything, None included.
        Raises:
            ClosedChannelError: the channel is closed, or was while this waited.
        Example:
            >>> async def main():
            ...     ch = gopark.Chan(1)
            ...     await ch.send("a")
            ...     print(len(ch))
            >>> gopark.run(main)
            1

        Go: `ch <- value`.
        """
        g: G | None = None
        try:
            self._lock.pop()
        except IndexError:
            lockslow(self._lock)
        try:
            queue = self._recvq
            while queue:
                # Asked once only: 3.11 and 3.12 look it up in the class, 1 % of a round trip.
                entry: Any = queue.popleft()
                if entry.is_select:
                    if not claimed(self, entry):
                        continue
                    entry.elem = value
                    entry = entry.g
                    break
                entry.waiting = None  # see frozen
                entry.elem = value
                break
            else:
                if self._closed:
                    raise ClosedChannelError(SEND_CLOSED)
                if self.cap and len(self._buf) < self.cap:
                    self._buf.append(value)
                    entry = None
                else:
                    # As _enqueue, in line: 3 % of a round trip.
                    m = tls.m
                    if m is None or (me := m.curg) is None:
                        raise self._notong("send")
                    me.elem = value
                    self._sendq.append(me)
                    me.waiting = self
                    me.waitreason = "chan send"
                    m.waitunlockf = self._unlock
                    g = me
                    _ = None is (None is (yield PARK))
                    if g.success:
                        return
                    g.success = True
                    raise ClosedChannelError(SEND_CLOSED)
        except BaseException as exc:
            done = self._failed(g, exc)
            if done is None:
                raise
            if not done[1]:
                raise ClosedChannelError(SEND_CLOSED) from None
            return
        self._lock.append(None)
        if entry is not None:
            ready(entry)

    def try_send(self, value: T) -> bool:
        """Send if that needs no waiting; False if it would. For plain and async code.

        Raises:
            ClosedChannelError: the channel is closed.
        Example:
            >>> ch = gopark.Chan(1)
            >>> ch.try_send("a"), ch.try_send("b")
            (True, False)

        Go: select with one send and a default.
        """
        try:
            self._lock.pop()
        except IndexError:
            try:
                lockslow(self._lock)
            except AmidRuntime:
                return self._sendlater(value)
        try:
            sent, entry = self.sendlocked(value)
        finally:
            self._lock.append(None)
        if entry is not None:
            wake(entry)
        return sent

    def _sendlater(self, value: T) -> bool:
        """A finalizer has come in amid an operation of its own thread on this channel.

        What can be seen is not all of one moment. If there seems to be room the value goes in
        after that operation, even if the buffer is full by then: it holds one more for a while.
        """
        if self._closed:
            raise ClosedChannelError(SEND_CLOSED)
        if not (self._recvq or len(self._buf) < self.cap):
            return False
        later(self._put, value)
        return True

    def _put(self, value: T) -> None:
        with Holding(self._lock):
            entry = self.dequeue(self._recvq)
            if entry is None:
                self._buf.append(value)
            else:
                entry.elem = value
        if entry is not None:
            wake(entry)

    def sendlocked(self, value: T) -> tuple[bool, Entry | None]:
        """Send now if possible, and whom to wake for it. Caller holds the lock."""
        if self._closed:
            raise ClosedChannelError(SEND_CLOSED)
        if self._recvq and (entry := self.dequeue(self._recvq)) is not None:
            entry.elem = value
            return True, entry
        if len(self._buf) < self.cap:
            self._buf.append(value)
            return True, None
        return False, None

    # --- receive -------------------------------------------------------------------------

    @suspends
    def recv(self) -> Generator[Command, None, T | None]:
        """Receive a value, waiting for one; None at once when the channel is closed and empty.

        Where None may be a value, `recv_ok` tells the two apart.

        Example:
            >>> async def main():
            ...     ch = gopark.Chan(1)
            ...     await ch.send("a")
            ...     ch.close()
            ...     print(await ch.recv(), await ch.recv())
            >>> gopark.run(main)
            a None

        Go: `v := <-ch`.
        """
        g: G | None = None
        try:
            self._lock.pop()
        except IndexError:
            lockslow(self._lock)
        try:
            if self._buf:
                value: T | None = self._buf.popleft()
                entry: Any = None
                if self._sendq and (entry := self._refill()) is not None and entry.is_select:
                    entry = entry.g  # type: ignore[union-attr]
            else:
                queue = self._sendq
                while queue:
                    entry = queue.popleft()
                    if entry.is_select:
                        if not claimed(self, entry):
                            continue
                        value = entry.elem
                        entry.elem = None
                        entry = entry.g
                        break
                    entry.waiting = None
                    value = entry.elem
                    entry.elem = None
                    break
                else:
                    entry = value = None
                    if not self._closed:
                        m = tls.m
                        if m is None or (me := m.curg) is None:
                            raise self._notong("recv")
                        self._recvq.append(me)
                        me.waiting = self
                        me.waitreason = "chan receive"
                        m.waitunlockf = self._unlock
                        g = me
                        _ = None is (None is (yield PARK))
                        value = g.elem
                        g.elem = None
                        g.success = True
                        return value
        except BaseException as exc:
            done = self._failed(g, exc)
            if done is None:
                raise
            return done[0]  # type: ignore[no-any-return]
        self._lock.append(None)
        if entry is not None:
            ready(entry)
        return value

    @suspends
    def recv_ok(self) -> Generator[Command, None, tuple[T | None, bool]]:
        """Receive a value and whether it is one: `(None, False)` when closed and empty.

        Example:
            >>> async def main():
            ...     ch = gopark.Chan(1)
            ...     ch.close()
            ...     print(await ch.recv_ok())
            >>> gopark.run(main)
            (None, False)

        Go: `v, ok := <-ch`.
        """
        g: G | None = None
        try:
            self._lock.pop()
        except IndexError:
            lockslow(self._lock)
        try:
            taken, entry = self.recvlocked()
            if taken is None:
                g = self._enqueue()
                _ = None is (None is (yield PARK))
                value: T | None = g.elem
                g.elem = None
                if g.success:
                    return value, True
                g.success = True
                return None, False
        except BaseException as exc:
            done = self._failed(g, exc)
            if done is None:
                raise
            return done
        self._lock.append(None)
        if entry is not None:
            wake(entry)
        return taken

    def try_recv(self) -> tuple[T | None, bool, bool]:
        """Receive if that needs no waiting: `(value, ok, received)`. For plain and async code.

        `received` is False where a receive would wait. On a closed, empty channel it is
        True, with `(None, False)` as for `recv_ok`.

        Example:
            >>> ch = gopark.Chan(1)
            >>> ch.try_recv()
            (None, False, False)

        Go: select with one receive and a default.
        """
        try:
            self._lock.pop()
        except IndexError:
            try:
                lockslow(self._lock)
            except AmidRuntime:
                return None, False, False
        try:
            taken, entry = self.recvlocked()
        finally:
            self._lock.append(None)
        if entry is not None:
            wake(entry)
        return (None, False, False) if taken is None else (*taken, True)

    def maybeready(self, is_send: bool) -> bool:
        """A send, or a receive, may go without waiting. Caller holds the lock."""
        if is_send:
            return bool(self._recvq) or len(self._buf) < self.cap or self._closed
        return bool(self._buf) or bool(self._sendq) or self._closed

    def recvlocked(self) -> tuple[tuple[T | None, bool] | None, Entry | None]:
        """Receive now if possible, and whom to wake for it. Caller holds the lock."""
        entry = None
        if self._buf:
            value = self._buf.popleft()
            if self._sendq:
                entry = self._refill()
        elif self._sendq and (entry := self.dequeue(self._sendq)) is not None:
            value = entry.elem
        elif self._closed:
            return (None, False), None
        else:
            return None, None
        return (value, True), entry

    def _refill(self) -> Entry | None:
        """A value was taken from the full buffer: the first sender's goes in. Lock held."""
        entry = self.dequeue(self._sendq)
        if entry is not None:
            self._buf.append(entry.elem)
        return entry

    def arm(self) -> Timers | None:
        """A select begins to wait on the channel of a timer: see timechan.py."""
        raise NotImplementedError

    # --- close, iterate ------------------------------------------------------------------

    def close(self) -> None:
        """Close: receivers get what is left and then the end, senders an error.

        Raises:
            ClosedChannelError: it is closed already.
        Example:
            >>> gopark.Chan().close()

        Go: `close(ch)`.
        """
        try:
            self._closenow()
        except AmidRuntime:
            later(self.close)

    def _closenow(self) -> None:
        """`close`, also for who made a channel that others cannot close.

        Raises:
            AmidRuntime: it has to be done later: see finq.py.
        """
        try:
            self._lock.pop()
        except IndexError:
            lockslow(self._lock)
        try:
            if self._closed:
                raise ClosedChannelError(_CLOSE_CLOSED)
            self._closed = True
            waiters = self._drain(self._recvq) + self._drain(self._sendq)
            for entry in waiters:
                entry.elem = None
                entry.success = False
        finally:
            self._lock.append(None)
        for entry in reversed(waiters):  # as Go: the first one is readied last, and runs next
            wake(entry)

    def __aiter__(self) -> AsyncIterator[T]:
        return _AsyncIter(self)

    def __iter__(self) -> Iterator[T]:
        while True:
            value, ok = block(self.recv_ok())
            if not ok:
                return
            yield value  # type: ignore[misc]

    # --- the wait queues: all of it with the lock held -----------------------------------

    def dequeue(self, queue: WaitQ) -> Entry | None:
        """The first waiter that is still to be had; the caller owns its wake-up.

        send and recv do this in line: 0.1 µs of a round trip.
        """
        while queue:
            entry = queue.popleft()
            if entry.is_select and not claimed(self, entry):  # type: ignore[arg-type]
                continue
            entry.waiting = None  # see frozen
            return entry
        return None

    def _drain(self, queue: WaitQ) -> list[Entry]:
        """All waiters that are still to be had, first come first."""
        taken: list[Entry] = []
        while (entry := self.dequeue(queue)) is not None:
            taken.append(entry)
        return taken

    def leave(self, queue: WaitQ, entry: Sudog) -> None:
        """Take out a select's losing case."""
        if not entry.queued or entry.marked:
            return
        if queue[-1] is entry:
            queue.pop()
            entry.queued = False
        elif queue[0] is entry:
            queue.popleft()
            entry.queued = False
        else:
            entry.marked = True
            self._nmarked += 1
            if self._nmarked * 2 > len(self._recvq) + len(self._sendq) > _SWEEP:
                self._sweep()

    def _sweep(self) -> None:
        for queue in (self._recvq, self._sendq):
            kept = [e for e in queue if not (e.is_select and e.marked)]  # type: ignore[union-attr]
            queue.clear()
            queue.extend(kept)
        self._nmarked = 0

    # --- leaving from outside ------------------------------------------------------------

    def wakers(self) -> list[Any] | None:
        return [self]

    def unwait(self, g: G) -> bool:
        with Regaining(self._lock):
            if discard(self._recvq, g) or discard(self._sendq, g):
                g.waiting = None
                return True
            return False

    def frozen(self, g: G, look: Callable[[G], list[Any]]) -> list[Any]:
        # Who takes a G off the queue clears its `waiting`, under the same lock.
        with Holding(self._lock):
            return look(g) if g.waiting is self else []

    def _notong(self, what: str) -> NotOnGError:
        """Nobody can be parked here."""
        return NotOnGError(
            f"{what} on {shown(self)} has to wait, and this thread runs no goroutine: in plain "
            f"code use gopark.block(ch.{what}(...)), under another event loop try_{what}"
        )

    def _enqueue(self) -> G:
        """The calling G is to wait for a value; the lock stays taken until it has parked."""
        m = tls.m
        if m is None or (g := m.curg) is None:
            raise self._notong("recv")
        self._recvq.append(g)
        g.waiting = self
        g.waitreason = "chan receive"
        m.waitunlockf = self._unlock
        return g

    def _failed(self, g: G | None, exc: BaseException) -> tuple[Any, bool] | None:
        """An operation raises: let go of the lock, which it holds unless it has parked `g`.

        What it has come to if somebody was quicker than the undoing of its wait.
        """
        if g is None:
            self._lock.append(None)
            return None
        try:
            return (g.elem, g.success) if notparked(self, exc, takes=True) else None
        finally:
            g.elem = None
            g.success = True


if native is not None:
    native.install(lockslow=lockslow, closed=ClosedChannelError)
    for _name in ("send", "recv", "recv_ok"):
        setattr(Chan, _name, native.compiled(_name, vars(Chan)[_name]))


class _AsyncIter(Generic[T]):
    """`async for v in ch`. Go: `for v := range ch`."""

    __slots__ = ("_ch",)

    def __init__(self, ch: Chan[T]) -> None:
        self._ch = ch

    def __aiter__(self) -> _AsyncIter[T]:
        return self

    async def __anext__(self) -> T:
        value, ok = await self._ch.recv_ok()
        if not ok:
            raise StopAsyncIteration
        return value  # type: ignore[return-value]
