"""The order in which the runtime's locks may be taken, as data, and its check in debug runs.

A thread that holds a lock may take only locks of a higher rank; channels, which a select
locks several of, may follow each other in ascending order of identity. With
`GOPARKDEBUG=lockrank=1` in the environment every lock checks this and an offence is a
`Throw` that names both ranks; without it a lock is the plain lock of `_thread`, at no cost.

Here too: the locks that outlive programs, which the child of a fork finds free (`lasting`).

Source: Go 1.27 runtime/lockrank.go. Tests: tests/runtime/test_lockrank.py
"""

from __future__ import annotations

import _thread
import enum
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from gopark._runtime.base import objlocks as objlocks
from gopark._runtime.base.errors import AmidRuntime, Throw
from gopark._runtime.twin import native

__all__ = (
    "Holding",
    "Lock",
    "Mutex",
    "Rank",
    "debugvar",
    "doors",
    "lasting",
    "lock",
    "lockslow",
    "mklock",
    "mkmutex",
    "mkrlock",
    "setfree",
)

L = TypeVar("L")

_SPINS: Final = 10
_NAP: Final = 0.00005  # seconds


class Rank(enum.IntEnum):
    """Ascending: what is held first has the lower number."""

    SCOPE = 3  # which scopes of a goroutine are over
    SIGQUEUE = 5  # who listens for which signal
    CHAN = 10  # Chan._lock; several at once only by ascending id
    SEMA = 15  # Sema._lock: who waits for a mutex, a wait group, a condition
    NETPOLL = 18  # PollDesc.lock: who waits for one descriptor
    TIMERS = 20  # Timers.lock
    SCHED = 30  # Sched.lock
    EXTRAM = 40  # the list of extra Ms
    SIGNAL = 50  # who delivers an interrupt
    BUBBLE = 60  # the accounts of a bubble


class Lock(Protocol):
    """What a lock of `_thread` and the checking one have in common."""

    def acquire(self, blocking: bool = ..., timeout: float = ..., /) -> bool: ...
    def release(self) -> None: ...
    def __enter__(self) -> bool: ...
    def __exit__(self, *exc: Any) -> None: ...


def debugvar(name: str) -> str | None:
    """The value of one `name=value` in GOPARKDEBUG, as Go reads GODEBUG."""
    for item in os.environ.get("GOPARKDEBUG", "").split(","):
        key, _, value = item.partition("=")
        if key.strip() == name:
            return value.strip()
    return None


class _Doors:
    """Set by finq.py."""

    amid: Callable[[], bool]  # the caller may have come in while this thread holds a lock


doors: Final = _Doors()

# The lock of a channel or a sema: a deque that holds one token while the lock is free. `pop()`
# takes it and raises IndexError where somebody else has it (lockslow then waits), `append(None)`
# gives it back; any thread may. The pair costs a quarter of a `_thread` lock's, and less than
# that of a SimpleQueue of one token (benchmarks/micro_lock.py).
Mutex = deque[None]


def lockslow(mu: Mutex, again: bool = False) -> None:
    """Take a lock that another thread holds, which does so for less than a microsecond.

    Unless that thread has lost its CPU or the GIL on the way: so give way, then sleep.

    Args:
        again: See `Regaining`.
    Raises:
        AmidRuntime: the other thread may be this one: see finq.py.
    """
    spins = 0
    while True:
        time.sleep(0 if spins < _SPINS else _NAP)
        spins += 1
        try:
            return mu.pop()
        except IndexError:
            if spins == _SPINS and not again and doors.amid():
                raise AmidRuntime from None


def lock(mu: Mutex) -> None:
    """Take such a lock. Hot code does the first half in line."""
    try:
        mu.pop()
    except IndexError:
        lockslow(mu)


class Holding:
    """`with Holding(mu):` around what such a lock guards, where speed does not matter."""

    __slots__ = ("mu",)

    def __init__(self, mu: Mutex) -> None:
        self.mu = mu

    def __enter__(self) -> None:
        lock(self.mu)

    def __exit__(self, *exc: object) -> None:
        self.mu.append(None)


class Regaining(Holding):
    """The same for who has had the lock before, in the same call, and is to undo what it did then.

    Whatever this thread is amid of, below it on the stack, does not hold it: so it may wait, and
    has to, for nobody else would undo that.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        try:
            self.mu.pop()
        except IndexError:
            lockslow(self.mu, again=True)


_held = threading.local()


def _stack() -> list[tuple[Any, Rank]]:
    stack: list[tuple[Any, Rank]] = _held.__dict__.setdefault("stack", [])
    return stack


def _check(lock: Any, rank: Rank) -> None:
    """Before `lock` is taken: compare it with those that this thread holds."""
    for other, held in _stack():
        ascending = rank is Rank.CHAN and id(other) < id(lock)
        if held > rank or (held == rank and not ascending):
            if doors.amid():
                return  # it will not wait for it: see finq.py
            raise Throw(f"lock ranking: {rank.name} taken while holding {held.name}")


def _drop(lock: Any) -> None:
    stack = _stack()
    stack[:] = [entry for entry in stack if entry[0] is not lock]


class _RankedMutex(Mutex):
    """A channel's or a sema's lock in a debug run."""

    __slots__ = ("rank",)

    def __init__(self, rank: Rank) -> None:
        super().__init__([None])
        self.rank = rank

    def pop(self) -> None:  # type: ignore[override]
        _check(self, self.rank)
        super().pop()
        _stack().append((self, self.rank))

    def append(self, _: None) -> None:
        _drop(self)
        super().append(None)


class _RankedLock:
    """Any other lock in a debug run."""

    def __init__(self, rank: Rank) -> None:
        self.rank = rank
        inner: Any = _thread.allocate_lock()
        self._lock: Any = inner
        self._at_fork_reinit = inner._at_fork_reinit

    def acquire(self, blocking: bool = True, timeout: float = -1, /) -> bool:
        if blocking:
            if any(held is self for held, _ in _stack()):
                raise Throw(f"lock {self.rank.name} is taken by the thread that holds it")
            _check(self, self.rank)
        if not self._lock.acquire(blocking, timeout):
            return False
        _stack().append((self, self.rank))
        return True

    def release(self) -> None:
        _drop(self)
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()


class _RankedRLock:
    """One that its holder may take again, in a debug run.

    Those who do are finalisers and signal handlers, which come in the midst of anything: so it
    is not asked what else they hold, only what is taken while it is held.
    """

    def __init__(self, rank: Rank) -> None:
        self.rank = rank
        inner: Any = threading.RLock()
        self._lock: Any = inner
        self._at_fork_reinit = inner._at_fork_reinit
        self._is_owned = inner._is_owned

    def acquire(self, blocking: bool = True, timeout: float = -1, /) -> bool:
        if not self._lock.acquire(blocking, timeout):
            return False
        _stack().append((self, self.rank))
        return True

    def release(self) -> None:
        stack = _stack()
        del stack[max(i for i, entry in enumerate(stack) if entry[0] is self)]
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()


_checked = debugvar("lockrank") == "1"


def mklock(rank: Rank) -> Lock:
    """A new lock of that rank; a plain one unless GOPARKDEBUG asks for the check."""
    return _RankedLock(rank) if _checked else _thread.allocate_lock()


def mkrlock(rank: Rank) -> Lock:
    """A new lock that its holder may take again."""
    return _RankedRLock(rank) if _checked else threading.RLock()


def _mutex() -> Mutex:
    return deque([None])


if native is not None:
    _mutex = native.Token


def mkmutex(rank: Rank = Rank.CHAN) -> Mutex:
    """A new lock for a channel or a sema, unlocked."""
    return _RankedMutex(rank) if _checked else _mutex()


# --- locks that outlive programs -----------------------------------------------------------

# By identity, for a deque cannot be a key.
_lasting: Final[weakref.WeakValueDictionary[int, Any]] = weakref.WeakValueDictionary()


def lasting(lock: L) -> L:
    """`lock`, which is to be free in the child of a fork: what others held there nobody gives back.

    Every lock goes through here that a child may meet: of a module, of an object that a module
    holds, of the program that the child leaves. An RLock stays with the thread that forks.
    """
    _lasting[id(lock)] = lock
    return lock


def setfree(lock: Any) -> None:
    """In the child of a fork: it is free, whoever had it."""
    if isinstance(lock, deque):
        lock.clear()
        deque.append(lock, None)
    else:
        lock._at_fork_reinit()


def _afterfork() -> None:
    for lock in list(_lasting.values()):
        if not (hasattr(lock, "_is_owned") and lock._is_owned()):
            setfree(lock)


if hasattr(os, "register_at_fork"):  # first of all: what other modules do there may take one
    os.register_at_fork(after_in_child=_afterfork)
