"""The poller where there is no epoll: poll(2), which is asked anew each time.

It is level-triggered, so a descriptor is asked for only from the moment that a goroutine waits on
it (`arm`) until it is told of once. So to netpoll.py it looks as the other does. Who arms one gets
out who sleeps in `poll`, for the system is to be asked for one more.

Locks: `_lock`, a leaf. Source: Go 1.27 runtime/netpoll_aix.go. Tests: tests/net/test_netpoll.py
"""

from __future__ import annotations

import math
import os
import select
from typing import Final

from gopark._runtime.base.lockrank import Holding, Mutex, lasting

__all__ = ("Poll",)

_NEVER: Final = 1 << 30  # milliseconds: the next look is early enough


class Poll:
    """The descriptors of this process that goroutines may wait on."""

    R: Final = select.POLLIN | select.POLLHUP | select.POLLERR | select.POLLNVAL
    W: Final = select.POLLOUT | select.POLLHUP | select.POLLERR | select.POLLNVAL
    END: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL

    def __init__(self) -> None:
        self._rfd, self._wfd = os.pipe()
        os.set_blocking(self._rfd, False)
        os.set_blocking(self._wfd, False)
        self._lock = lasting(Mutex((None,)))
        self._wanted: dict[int, int] = {}  # what each is asked for; guarded by `_lock`
        self._asleep = 0  # how many sleep in `poll`
        self.fds = (self._rfd, self._wfd)

    def open(self, fd: int) -> None:
        with Holding(self._lock):
            self._wanted[fd] = 0

    def close(self, fd: int) -> None:
        with Holding(self._lock):
            self._wanted.pop(fd, None)

    def arm(self, fd: int, write: bool) -> None:
        """A goroutine is about to wait for it."""
        with Holding(self._lock):
            self._wanted[fd] = self._wanted.get(fd, 0) | (
                select.POLLOUT if write else select.POLLIN
            )
            asleep = self._asleep
        if asleep:
            self.wakeup()

    def poll(self, timeout: float, most: int = 0) -> list[tuple[int, int]]:
        """What there is, after so many seconds at most; negative: as soon as there is something.

        There is no bound for how much, as `most` is elsewhere.
        """
        asked = select.poll()
        asked.register(self._rfd, select.POLLIN)
        with Holding(self._lock):
            for fd, events in self._wanted.items():
                if events:
                    asked.register(fd, events)
            self._asleep += timeout != 0
        try:
            found = asked.poll(_NEVER if timeout < 0 else min(math.ceil(timeout * 1000), _NEVER))
        finally:
            with Holding(self._lock):
                self._asleep -= timeout != 0
        with Holding(self._lock):
            for fd, events in found:
                if fd in self._wanted:
                    told = (select.POLLIN if events & self.R else 0) | (
                        select.POLLOUT if events & self.W else 0
                    )
                    self._wanted[fd] &= ~told
        return found

    def wakeup(self) -> None:
        """Get out who sleeps in `poll`, or will."""
        try:
            os.write(self._wfd, b"\0")
        except BlockingIOError:
            pass  # it is full of wake-ups

    def drain(self, fd: int) -> None:
        """`poll` has named a descriptor that is nobody's: the one it is woken by."""
        if fd == self._rfd:
            try:
                os.read(fd, 4096)
            except BlockingIOError:
                pass

    def dispose(self) -> None:
        """In the child of a fork: both are shared with the parent, who waits there."""
        os.close(self._rfd)
        os.close(self._wfd)
