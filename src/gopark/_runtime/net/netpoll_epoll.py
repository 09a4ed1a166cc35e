"""The poller on Linux: epoll, edge-triggered, one `epoll_ctl` in the life of a descriptor.

What the kernel says once it does not say again until the state changes: netpoll.py keeps it. Who
sleeps here is got out by an eventfd, which is level-triggered, and read only by who sleeps: a look
in passing must not take the wake-up of another.

Source: Go 1.27 runtime/netpoll_epoll.go. Tests: tests/net/test_netpoll.py
"""

from __future__ import annotations

import errno
import os
import select
from typing import Final

from gopark._runtime.twin import native

__all__ = ("Epoll",)

_ALL: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


class Epoll:
    """The descriptors of this process that goroutines may wait on."""

    # What a reader, and a writer, is to know of; and what comes without a second edge.
    R: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
    W: Final = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
    END: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR

    arm = None  # nothing to say before a wait

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._eventfd, select.EPOLLIN)
        # What there is, after so many seconds at most; negative: as soon as there is something.
        self.poll = self._epoll.poll
        self._register = self._epoll.register
        self.own = self._epoll.fileno()
        self.fds = (self.own, self._eventfd)

    def open(self, fd: int) -> None:
        """From here on its edges are told.

        Raises:
            PermissionError: it cannot be waited for, as a regular file cannot.
            OSError: there is no room for it (ENOSPC, ENOMEM).
        """
        self._register(fd, _ALL)

    def close(self, fd: int) -> None:
        try:
            self._epoll.unregister(fd)
        except OSError as exc:
            if exc.errno not in (errno.ENOENT, errno.EBADF):  # its owner has closed it already
                raise

    def wakeup(self) -> None:
        """Get out who sleeps in `poll`, or will."""
        os.eventfd_write(self._eventfd, 1)

    def drain(self, fd: int) -> None:
        """`poll` has named a descriptor that is nobody's: the one it is woken by."""
        if fd == self._eventfd:
            try:
                os.eventfd_read(fd)
            except BlockingIOError:
                pass

    def dispose(self) -> None:
        """In the child of a fork: both are shared with the parent, who waits there."""
        self._epoll.close()
        os.close(self._eventfd)


if native is not None:
    native.install(epoll=Epoll)
