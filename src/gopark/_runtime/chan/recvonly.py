"""Channels that a user can only receive from: Go's `<-chan T`.

The type says so to Go's compiler; here an operation that is not allowed raises TypeError, a send
in a `select` as well, before it waits. Who made the channel sends and closes through `put` and
`shut`.

Locks: that of the channel. Source: none. Tests: tests/runtime/test_recvonly.py
"""

from __future__ import annotations

from typing import ClassVar, NoReturn, TypeVar

from gopark._runtime.base.errors import AmidRuntime, ClosedChannelError
from gopark._runtime.base.lockrank import Holding
from gopark._runtime.chan.chan import Chan, wake
from gopark._runtime.chan.sudog import Entry
from gopark._runtime.sched.finq import later

__all__ = ("RecvOnly", "put", "shut")

T = TypeVar("T")


class RecvOnly(Chan[T]):
    """A channel whose sender is the runtime."""

    __slots__ = ()

    what: ClassVar[str] = "a channel that can only be received from"
    instead: ClassVar[str] = "who made it sends and closes"

    def close(self) -> NoReturn:
        raise TypeError(f"cannot close {self.what}: {self.instead}")

    def send(self, value: T) -> NoReturn:
        raise TypeError(f"cannot send to {self.what}: {self.instead}")

    try_send = send

    def sendlocked(self, value: T) -> NoReturn:
        self.send(value)

    def maybeready(self, is_send: bool) -> bool:
        """A `select` asks this first, of every channel."""
        if is_send:
            raise TypeError(f"cannot send to {self.what}: {self.instead}")
        return super().maybeready(False)


def put(ch: RecvOnly[T], value: T) -> bool:
    """Send, from who may; False if nobody waits and the buffer is full."""
    entry: Entry | None
    with Holding(ch._lock):
        sent, entry = Chan.sendlocked(ch, value)
    if entry is not None:
        wake(entry)
    return sent


def shut(ch: RecvOnly[T]) -> None:
    """Close it, whoever else is about to."""
    try:
        ch._closenow()
    except ClosedChannelError:
        pass
    except AmidRuntime:
        later(shut, ch)
