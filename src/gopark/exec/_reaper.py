"""Children that nobody waits for any more: so that none is a zombie for ever.

A thread that is there only while there are such children. It sleeps on their descriptors; where the
system has none for processes, it looks now and then. It takes no child but those it was given.

Locks: `_lock`, a leaf. Tests: tests/exec/test_process.py
"""

from __future__ import annotations

import _thread
import os
import select
from typing import Final

from gopark._runtime.base.lockrank import Holding, Mutex, debugvar, lasting
from gopark._runtime.sched.startm import ourthreads, watchers

__all__ = ("adopt", "pidfd")

_PERIOD: Final = 250  # milliseconds between two looks, without descriptors

_lock: Final = lasting(Mutex((None,)))
_left: Final[list[int]] = []  # who has been left, and the thread does not know of yet
_wakeup: Final[list[int]] = []  # the thread is there, and a byte here gets it out of its sleep


def pidfd(pid: int) -> int:
    """A descriptor of a child that has not been waited for; -1 if there is none to be had."""
    if not hasattr(os, "pidfd_open") or debugvar("pidfd") == "0":
        return -1
    try:
        return os.pidfd_open(pid)
    except OSError:  # an old kernel, a sandbox, no room for one more
        return -1


def _gone(pid: int) -> bool:
    """It has ended, and is no zombie any more."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def adopt(pid: int) -> None:
    """Wait for it some time. Called where the thread holds no lock."""
    if _gone(pid):
        return
    with Holding(_lock):
        _left.append(pid)
        if _wakeup:
            os.write(_wakeup[0], b"\0")
            return
        r, w = os.pipe()
        _wakeup.append(w)
    try:
        _thread.start_new_thread(_reap, (r, w))
    except RuntimeError:  # no more threads: with the next one
        with Holding(_lock):
            _wakeup.clear()
        os.close(r)
        os.close(w)


def _reap(r: int, w: int) -> None:
    me = _thread.get_ident()
    watchers.add(me)
    ourthreads.add(me)
    mine: dict[int, int] = {}
    poll = select.poll()
    poll.register(r, select.POLLIN)
    try:
        while True:
            with Holding(_lock):
                new = _left[:]
                _left.clear()
                if not new and not mine:
                    _wakeup.clear()
                    return
            for pid in new:
                fd = mine[pid] = pidfd(pid)
                if fd >= 0:
                    poll.register(fd, select.POLLIN)
            if poll.poll(_PERIOD if -1 in mine.values() else None) == [(r, select.POLLIN)]:
                os.read(r, 4096)
            for pid in [pid for pid in mine if _gone(pid)]:
                fd = mine.pop(pid)
                if fd >= 0:
                    poll.unregister(fd)
                    os.close(fd)
    finally:
        os.close(r)
        os.close(w)
        watchers.discard(me)
        ourthreads.discard(me)


def _afterfork() -> None:
    """In the child: they are the parent's children, and the thread is not here."""
    _left.clear()
    _wakeup.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_afterfork)
