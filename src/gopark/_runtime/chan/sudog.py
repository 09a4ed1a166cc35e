"""What stands in a channel's wait queue: a G, or a case of a select.

A select has a Sudog in the queue of each of its channels, and one token for all of them: a list of
one item. Who takes a Sudog off its queue may have it only if it pops that item (`claim`), so one
case wins, whichever locks are held. `queued` and `marked` are the channel's, under its lock.

Source: Go 1.27 runtime/runtime2.go (sudog), chan.go (waitq). Tests: tests/runtime/test_chan.py
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from gopark._runtime.base.runtime2 import G
from gopark._runtime.twin import native

__all__ = ("Entry", "Sudog", "WaitQ", "discard")


class Sudog:
    """A G's place in one channel's queue on behalf of one case of a select."""

    __slots__ = ("case", "elem", "g", "marked", "queued", "success", "token", "waiting")

    is_select: Final = True

    def __init__(self, g: G, case: int, elem: Any, token: list[Sudog | None]) -> None:
        self.g = g
        self.case = case
        self.elem = elem
        self.token = token  # one item, for all cases of the select; who pops it, wins
        self.success = True  # until the channel is closed
        self.waiting: None = None  # as a G has it
        self.queued = True  # guarded by the channel's lock, like `marked`
        self.marked = False  # left in the middle of a queue, to be skipped or swept

    def claim(self) -> bool:
        try:
            self.token.pop()
        except IndexError:
            return False
        self.g.elem = self  # tells the select which case won
        return True

    def forget(self) -> None:
        """A losing case that stays queued, marked, must not keep a goroutine or a value."""
        if self.queued and self.marked:
            self.elem = None
            self.g = None  # type: ignore[assignment]


if native is not None and not TYPE_CHECKING:
    Sudog = native.Sudog  # its token is a Token, which has the `pop` and the length of that list

Entry = G | Sudog

# One side's waiters, first come first. A plain deque: the methods of a subclass are called in
# a slower way, 50 ns of a round trip.
WaitQ = deque[Entry]


def discard(queue: WaitQ, g: G) -> bool:
    """Take out a plain waiter, wherever it is. O(n): only at an interrupt and at the end."""
    try:
        queue.remove(g)
    except ValueError:
        return False
    return True
