"""Mutex: mutual exclusion between goroutines, in Go's two modes.

The lock itself is a token: a deque that holds one item while the mutex is free. To take it is
`pop()`, to give it back `append(None)`; no more is needed while nobody waits. Who finds it
gone goes through the Sema's lock, which guards the queue, `_starving` and `_woken`.

No lost wake-up, the two sides step by step:
  a waiter (with the Sema's lock)          who unlocks
  1. puts itself on the queue              1. gives the token back
  2. tries the token once more             2. looks at the queue, and at `_woken`
  3. gone: parks                           3. somebody waits, nobody is on the way: _wake
If the waiter's try comes before the token, its place in the queue does too, and step 2 of the
other side sees it. Relies on: pop and append of one deque come in one order, and what a
thread did before the earlier of them is seen after the later.

Normal mode. One waiter is woken at a time (`_woken`) and has to compete for the token with
those that come along; if it loses, it goes back to the front of the queue. It clears `_woken`
before it tries: so whoever unlocks after a try that failed wakes somebody.

Starvation mode. A waiter that loses after more than 1 ms turns it on. Then nobody competes:
who unlocks hands the mutex to the first waiter (`HANDOFF`) without ever giving the token back,
and who comes along queues up behind. Who had read `_starving` just before gives the token
back all the same, and takes it away again in _wake; a newcomer may slip in there, once, and
its own unlock hands off. The mode ends when the mutex goes to one that waited 1 ms or less, or
to the last in the queue.

Who owns a wake-up: see sema.py. A waiter that is ended by an exception after it was handed
the mutex unlocks it; one that was merely woken wakes the next.
Source: Go 1.27 internal/sync/mutex.go. Left out: spinning. Tests: tests/sync/test_mutex.py
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Generator
from time import monotonic
from typing import Final, NoReturn, Protocol

from gopark._runtime.base.errors import AmidRuntime
from gopark._runtime.base.lockrank import Holding, Regaining, lock
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import PARK, Command, G, getg
from gopark._runtime.base.suspend import suspends
from gopark._runtime.sched.finq import later
from gopark._runtime.sched.lockedm import block
from gopark._runtime.sched.runq import ready
from gopark._runtime.sched.sema import HANDOFF, WOKEN, Sema, ongoroutine, syncfatal
from gopark._runtime.twin import MutexBase, native, slots
from gopark.sync._common import nocopy, nothing, yielding

__all__ = ("Locker", "Mutex")

STARVES: Final = 0.001  # seconds; as Go's starvationThresholdNs
_UNLOCKED: Final = "sync: unlock of unlocked mutex"
_REASON: Final = "sync.Mutex.Lock"


class Locker(Protocol):
    """What can be locked and unlocked: a `Mutex`, an `RWMutex`, and what its `reader()` gives.

    Example:
        >>> async def twice(locker: gopark.sync.Locker):
        ...     for _ in range(2):
        ...         await locker.lock()
        ...         locker.unlock()
        >>> gopark.run(twice, gopark.sync.Mutex())

    Go: sync.Locker.
    """

    def lock(self) -> Awaitable[None]:
        """Wait until it is free, and take it.

        Example:
            >>> gopark.block(gopark.sync.Mutex().lock())

        Go: sync.Locker.Lock.
        """

    def unlock(self) -> None:
        """Give it back.

        Example:
            >>> async def main(locker):
            ...     await locker.lock()
            ...     locker.unlock()
            >>> gopark.run(main, gopark.sync.Mutex())

        Go: sync.Locker.Unlock.
        """


class Mutex(MutexBase):
    """A lock that one goroutine holds at a time: `async with mu:`, in plain code `with mu:`.

    It belongs to nobody: one goroutine may lock it and another unlock it. Who waits gets it in
    order of arrival once it has waited for a millisecond.

    Example:
        >>> async def main():
        ...     mu = gopark.sync.Mutex()
        ...     async with mu:
        ...         print("mine")
        >>> gopark.run(main)
        mine

    Go: sync.Mutex.
    """

    __slots__ = ("__weakref__", *slots(MutexBase, "_sema", "_starving", "_token", "_woken"))

    _sema: Sema
    _starving: bool  # starvation mode; written under the Sema's lock
    _token: deque[None]
    _woken: bool  # a waiter has been woken and has not tried yet

    def __init__(self) -> None:
        self._sema = Sema()
        self._token = deque((None,), maxlen=1) if native is None else native.Token()
        self._starving = self._woken = False

    def __repr__(self) -> str:
        state = "unlocked" if self._token else "locked"
        return f"<{type(self).__name__} {state} at {id(self):#x}>"

    __reduce_ex__ = nocopy

    # --- lock ----------------------------------------------------------------------------

    @suspends
    def lock(self) -> Generator[Command, None, None]:
        """Take the mutex, waiting until it is free.

        Raises:
            NotOnGError: it has to wait, and the thread runs no goroutine.
        Example:
            >>> async def main():
            ...     mu = gopark.sync.Mutex()
            ...     await mu.lock()
            ...     mu.unlock()
            >>> gopark.run(main)

        Go: sync.Mutex.Lock.
        """
        try:
            self._token.pop()
        except IndexError:
            yield from self._lockslow()

    def try_lock(self) -> bool:
        """Take the mutex if it is free; False if it is not. For plain and async code.

        Example:
            >>> mu = gopark.sync.Mutex()
            >>> mu.try_lock(), mu.try_lock()
            (True, False)

        Go: sync.Mutex.TryLock.
        """
        if self._starving:
            return False
        try:
            self._token.pop()
        except IndexError:
            return False
        return True

    def _lockslow(self) -> Generator[Command, None, None]:
        """The token is gone: queue up, until it is ours. For `RWMutex` as well."""
        g = self._ongoroutine()
        since = 0.0
        woken = starving = False
        while not self._queueup(g, woken, starving):
            since = since or monotonic()
            try:
                yield PARK
            except BaseException as exc:
                self._sema.left(g, exc, self._passon)
                raise
            given, g.elem = g.elem, None
            starving = starving or monotonic() - since > STARVES
            if given is HANDOFF:
                self._fed(starving)
                return
            woken = True
            self._woken = False
            try:
                self._token.pop()
            except IndexError:
                continue
            return

    def _ongoroutine(self) -> G:
        return ongoroutine(f"lock of {shown(self)}", "gopark.block(mu.lock()) or `with mu:`")

    def _queueup(self, g: G, woken: bool, starving: bool) -> bool:
        """Queue up for the token, the lock kept until `g` has parked; True: no need, it is ours."""
        sema = self._sema
        lock(sema.lock)
        try:
            sema.enqueue(g, front=woken)
            try:
                self._token.pop()
            except IndexError:
                if starving:
                    self._starving = True
                sema.park(g, _REASON)
                return False
            sema.leave(front=woken)
        except BaseException:
            sema.discard(g)
            sema.lock.append(None)
            raise
        sema.lock.append(None)
        return True

    def _fed(self, starving: bool) -> None:
        """The mutex was handed to this waiter: is that mode still needed?"""
        with Regaining(self._sema.lock):
            if not starving or not self._sema.waiters:
                self._starving = False

    def _passon(self, given: str | None) -> None:
        """A waiter does not come back: what it was given is for the next."""
        if given is HANDOFF:
            self.unlock()
        elif given is not None:
            self._woken = False
            if self._token and self._sema.waiters:
                self._wake()

    # --- unlock --------------------------------------------------------------------------

    def unlock(self) -> None:
        """Give the mutex back; a goroutine that waits gets its turn.

        Raises:
            FatalError: it is not locked. That ends the program, as in Go.
        Example:
            >>> mu = gopark.sync.Mutex()
            >>> mu.try_lock()
            True
            >>> mu.unlock()

        Go: sync.Mutex.Unlock.
        """
        token = self._token
        if token or self._starving:
            self._unlockslow()
            return
        token.append(None)
        if self._sema.waiters and not self._woken:
            self._wake()

    def _unlockslow(self) -> bool:
        """It is not locked at all, or somebody starves. True: it was handed over."""
        if self._token:
            _unlocked()
        try:
            with Holding(self._sema.lock):
                g = self._sema.dequeue(HANDOFF) if self._starving else None
                if g is None:
                    self._starving = False
                    self._token.append(None)
        except AmidRuntime:
            later(self._unlockslow)
            return False
        if g is not None:
            ready(g)
            return True
        if self._sema.waiters and not self._woken:  # the mode ended just before
            self._wake()
        return False

    def _wake(self) -> None:
        """The token was there and somebody waits: wake the first, or hand it over."""
        try:
            lock(self._sema.lock)
        except AmidRuntime:
            return later(self._wake)
        try:
            if self._woken or not self._token:
                return  # who has taken it will look at the queue when it gives it back
            if self._starving:
                try:
                    self._token.pop()
                except IndexError:
                    return
            g = self._sema.dequeue(HANDOFF if self._starving else WOKEN)
            if g is None:
                if self._starving:
                    self._starving = False
                    self._token.append(None)
                return
            self._woken = not self._starving
        finally:
            self._sema.lock.append(None)
        ready(g)

    # --- async with, with ----------------------------------------------------------------

    def __aenter__(self) -> Awaitable[None]:
        # No coroutine where there is nothing to wait for: that would be half of what it costs.
        try:
            self._token.pop()
        except IndexError:
            return self._queued()
        return nothing

    @suspends
    def _queued(self) -> Generator[Command, None, None]:
        yield from self._lockslow()

    def __aexit__(self, *exc: object) -> Awaitable[None]:
        if self._starving and not self._token:
            # As Go: who hands over gives up its turn, so that the other can begin at once.
            return yielding if self._unlockslow() else nothing
        self.unlock()
        return nothing

    def __enter__(self) -> None:
        try:
            self._token.pop()
        except IndexError:
            block(self._queued())

    def __exit__(self, *exc: object) -> None:
        if self._starving and not self._token:
            if self._unlockslow() and getg() is not None:
                block(yielding)
        else:
            self.unlock()


def _unlocked() -> NoReturn:
    syncfatal(_UNLOCKED)


if native is not None:
    native.install(mutex=Mutex, mutexnames=globals())
    for _name in ("lock", "_queued", "try_lock", "unlock"):
        setattr(Mutex, _name, native.mutex(_name, vars(Mutex)[_name]))
    for _name in ("__aenter__", "__aexit__", "__enter__", "__exit__"):
        setattr(Mutex, _name, native.mutex(_name, vars(Mutex)[_name]))
