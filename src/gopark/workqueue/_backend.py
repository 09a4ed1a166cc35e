"""Backend: what a queue asks of whoever keeps its values, and what it is told.

Two there are: `_local` and `_nats`. A lease is named by a token of the backend's, which means
nothing to others.

    the queue                       the backend
    send, ack, again, bury: returned is done, and outlives the death of any process
    want(n): so many values more    sink.arrived(values), until it were so many
    touch(tokens): still at work
                                    sink.ended(): closed, and all is done
                                    sink.failed(exc): it is all over

Source: none. Tests: tests/workqueue/test_queue.py
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from gopark.context import Context
from gopark.workqueue._settings import Settings

__all__ = ("KEPT", "MAKE", "THERE", "Backend", "RawLetter", "Sink", "Stats", "Token")

Token = Any

# How a queue is opened: made if it is not there; only if it is there; only if somebody has it open.
MAKE: Final = "make"
THERE: Final = "there"
KEPT: Final = "kept"


class Sink(Protocol):
    """Who is told: of one backend, from any thread, and never to wait."""

    def arrived(self, values: Iterable[tuple[Token, int, bytes]]) -> None:
        """Of each its token, the how manieth try it is, and the value as bytes."""

    def ended(self) -> None: ...
    def failed(self, exc: Exception) -> None: ...

    def forked(self, exc: Exception) -> None:
        """This is the child of a fork: what it has is the parent's."""

    def tokens(self) -> list[Token]:
        """What is held and to be kept, for one that has to say so after a loss."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What a queue holds, at one moment: `await q.stats()`.

    Attributes:
        waiting: Values that nobody has yet.
        leased: Values that a receiver has.
        dead: Values that have failed for good.
        closed: Nobody sends any more.
        cap, lease, tries, codec: The settings of the queue.
    Example:
        >>> async def main():
        ...     async with await gopark.workqueue.open("stats-example") as q:
        ...         print((await q.stats()).waiting)
        >>> gopark.run(main)
        0

    Go: none.
    """

    waiting: int
    leased: int
    dead: int
    closed: bool
    cap: int
    lease: float
    tries: int
    codec: str


@dataclass(frozen=True, slots=True)
class RawLetter:
    """A dead letter, as bytes."""

    seq: int
    tries: int
    why: str
    payload: bytes


class Backend(ABC):
    """A queue, opened, of bytes."""

    settings: Settings
    limit: int  # bytes of a value
    over: bool  # it was closed, as far as is known here

    @abstractmethod
    async def send(self, payload: bytes, id: str, ctx: Context | None) -> None:
        """Store it; wait while the queue is full."""

    @abstractmethod
    def want(self, n: int) -> None:
        """So many more may arrive; 0: none any more."""

    @abstractmethod
    async def ack(self, token: Token) -> bool:
        """It is done; False if it was before, or is not known any more."""

    @abstractmethod
    async def again(self, token: Token, delay: float, untried: bool) -> bool:
        """It is to be tried again, by anybody; False if the lease was lost."""

    @abstractmethod
    async def bury(self, token: Token, why: str) -> bool:
        """It is dead; False if the lease was lost."""

    @abstractmethod
    def touch(self, tokens: Iterable[Token]) -> None:
        """Renew the leases."""

    @abstractmethod
    async def close(self) -> None:
        """Nobody sends any more."""

    @abstractmethod
    async def leave(self) -> None:
        """Let go of the queue. What is held was given back before."""

    @abstractmethod
    async def destroy(self) -> None:
        """Leave it, and have nothing of it stay."""

    @abstractmethod
    async def clear(self, queue: str, quiet: float) -> None:
        """Remove what groups of that queue have left behind, see `_leftovers`."""

    @abstractmethod
    async def stats(self) -> Stats: ...

    @abstractmethod
    async def letters(self, after: int, most: int) -> list[RawLetter]:
        """The dead, those after a number; an empty list at the end."""

    @abstractmethod
    async def requeue(self, seq: int) -> bool:
        """A dead one is to be tried again; False if it is not there."""

    @abstractmethod
    async def discard(self, seq: int) -> bool:
        """A dead one is to be forgotten; False if it is not there."""

    @abstractmethod
    async def purge(self, dead: bool) -> int:
        """Forget what is not done, or what is dead; how many that were."""
