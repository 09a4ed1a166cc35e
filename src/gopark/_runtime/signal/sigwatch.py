"""Signals that are served whatever the main thread does: the thread that hears of them first.

Python calls a handler on the main thread, between two lines. One that sits in C and does not come
back calls none. But the half of the handler that is in C runs all the same, on whichever thread
the kernel chose, and writes the number of the signal to the wake-up descriptor. So a pipe is
that descriptor while a program runs on the main thread, and one thread reads it.

The thread is started by the first such program of the process and stays, asleep in `read`. It holds
no lock of the scheduler's and asks for none, so that it answers in a program that hangs. It also
sends a SIGURG after each signal, for the kernel may have given that to a thread of ours, and the
main thread, asleep, would not look; and another until that thread has looked, for both may have
come in the instant before it fell asleep (`_lookout`). A second way leads to it, where something
else has set a descriptor of its own meanwhile: the handlers in Python call `post`.

Who had set a descriptor before, or sets one meanwhile (`wakeupfd`), gets what we get (`_forward`);
`gopark.signal` puts its own pipe in
front of this one in the same way. A pipe that two processes share would tell the parent of the
child's signals, so none is caught between a fork and the child's first steps.

Locks: none. Source: none; Go's handlers run on the thread that the kernel chose.
Tests: tests/crash/test_sigquit.py
"""

from __future__ import annotations

import _thread
import os
import select
import signal
import threading
from collections import deque
from collections.abc import Callable
from stat import S_ISDIR
from typing import Any, Final

from gopark._runtime.sched.startm import ourthreads, watchers
from gopark._runtime.signal.errand import SIGURG, missed
from gopark._runtime.signal.sigfwd import doors, set_wakeup_fd
from gopark._runtime.signal.signal_unix import atfork, awaken, onwatch
from gopark._runtime.signal.sigpipe import newpipe

__all__ = ("arm", "beginfork", "endfork", "giveback", "handlers", "keepblocked", "post")

# What the thread does when a signal comes; set by the modules above. It must not wait for long.
handlers: Final[dict[int, Callable[[], None]]] = {}


_MARK: Final = 0  # in the pipe: somebody waits until this has been read
_MOMENT: Final = 1.0  # seconds that he waits, at most
_AGAIN: Final = 10  # milliseconds until the main thread is sent another SIGURG; then 20, 40, ...
_SELDOM: Final = 60_000  # milliseconds that this grows to: `poll` takes no more than 31 bits
_NOTHEIRS: Final = bytes((_MARK, SIGURG))  # bytes that no handler of others is to be called for


class _Watch:
    """The pipe; written on the main thread alone."""

    def __init__(self) -> None:
        self.r = self.w = -1
        self.otherfd = -1  # the descriptor that stood before; gets all that we get
        self.armed = False
        self.marks: deque[_thread.LockType] = deque()  # to be released, one for each mark
        self.errands: deque[Callable[[], None]] = deque()  # to be done: no thread was to be had


_watch = _Watch()


def arm() -> Callable[[], None]:
    """Begin to watch, on the main thread; returns what ends it."""
    watch = _watch
    if watch.w < 0 and not _begin(watch):
        return _nothing
    fd = set_wakeup_fd(watch.w, warn_on_full_buffer=False)
    if fd != watch.w:
        watch.otherfd = fd
    watch.armed = True

    def disarm() -> None:
        watch.armed = False
        _putback(watch)

    return disarm


def _nothing() -> None:
    """Nothing was begun."""


def _begin(watch: _Watch) -> bool:
    """Make the pipe, and the thread that reads it."""
    r, w = newpipe()
    os.set_blocking(w, False)
    try:
        _thread.start_new_thread(_loop, (r,))
    except RuntimeError:  # no more threads: handlers in Python remain
        os.close(r)
        os.close(w)
        return False
    watch.r, watch.w = r, w
    return True


def _putback(watch: _Watch, settle: bool = True) -> None:
    """Have the descriptor that stood before, unless somebody has set another one meanwhile."""
    fd = giveback(watch.otherfd)
    if settle:
        _settle(watch)
    watch.otherfd = -1
    if fd != watch.w:
        giveback(fd)


def giveback(fd: int) -> int:
    """Have a descriptor of others stand again; returns the one that stood until now.

    Its owner may have closed it, and its number be that of a folder, which a thread of ours reads
    (remote.py) and which would pass for one. Nobody can write to a folder.
    """
    try:
        return set_wakeup_fd(fd if fd == -1 or not S_ISDIR(os.fstat(fd).st_mode) else -1)
    except (OSError, ValueError):
        return set_wakeup_fd(-1)  # it is closed by now


def wakeupfd(fd: int, options: dict[str, Any]) -> int:
    """`signal.set_wakeup_fd` while a program runs: theirs is served behind ours.

    So an event loop on the main thread, which sets one and takes it away as it comes and goes,
    neither loses signals nor takes them from us.
    """
    watch = _watch
    if not watch.armed or threading.current_thread() is not threading.main_thread():
        return set_wakeup_fd(fd, **options)
    if fd != -1 and os.get_blocking(fd):
        raise ValueError(f"the fd {fd} is in blocking mode")
    _settle(watch)
    before, watch.otherfd = watch.otherfd, fd
    return before


def _settle(watch: _Watch) -> None:
    """Return once who had set a descriptor before has got all that came before this call."""
    if watch.otherfd >= 0:
        done = _thread.allocate_lock()
        done.acquire()
        watch.marks.append(done)
        if post(_MARK):
            done.acquire(timeout=_MOMENT)


def post(signum: int) -> bool:
    """The other way to the thread, from a handler in Python. False: there is no thread."""
    if _watch.w < 0:
        return False
    try:
        os.write(_watch.w, bytes((signum,)))
    except BlockingIOError:
        pass  # it has enough to read
    return True


def _doonwatch(errand: Callable[[], None]) -> bool:
    """Have the thread do something short, when none can be started for it."""
    _watch.errands.append(errand)
    return post(_MARK)


def _loop(r: int) -> None:
    me = threading.get_ident()
    ourthreads.add(me)
    watchers.add(me)
    pause: int | None = None
    while True:
        if pause:
            pause = _lookout(r, pause)
        if not (data := os.read(r, 4096)):
            return
        _forward(data)
        if data.translate(None, _NOTHEIRS):
            pause = _AGAIN if awaken() else None
        for signum in set(data):
            if signum == _MARK:
                while _watch.marks:
                    _watch.marks.popleft().release()
                for _ in range(len(_watch.errands)):
                    _watch.errands.popleft()()
            handler = handlers.get(signum)
            if handler is not None:
                try:
                    handler()
                except Exception:
                    pass  # what it could not do is not worth the thread


def _lookout(r: int, pause: int) -> int | None:
    """Return when there is something to read, and have the main thread look for signals meanwhile.

    Each signal that is sent for this comes to the pipe as well. The pauses double, so that C which
    the main thread does not come back from is interrupted ten times in ten seconds, no more.

    Args:
        r: The pipe.
        pause: Milliseconds until it is sent the next.

    Returns:
        The pause that is next; None, if that thread has looked, or cannot be reached.
    """
    poll = select.poll()
    poll.register(r, select.POLLIN)
    while missed():
        if poll.poll(pause):
            return pause
        if not awaken():
            return None
        pause = min(2 * pause, _SELDOM)
    return None


def _forward(data: bytes) -> None:
    fd = _watch.otherfd
    if fd >= 0 and (data := data.replace(bytes((_MARK,)), b"")):
        try:
            os.write(fd, data)
        except OSError:
            pass


# --- fork ----------------------------------------------------------------------------------

_masks: Final[dict[int, set[int]]] = {}  # by thread


def beginfork() -> None:
    """What comes while the child still has the parent's pipe must wait. Go: syscall_BeforeFork."""
    if _watch.armed:
        _masks[_thread.get_ident()] = signal.pthread_sigmask(
            signal.SIG_BLOCK, signal.valid_signals()
        )


def endfork() -> None:
    mask = _masks.pop(_thread.get_ident(), None)
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def keepblocked(sigs: set[int]) -> None:
    """In the child: have these blocked again, which a program of the parent had let in."""
    mask = _masks.get(_thread.get_ident())
    if mask is not None:
        mask |= sigs


def _forget() -> Callable[[], None]:
    """In the child: a pipe of its own, when it runs a program of its own."""
    global _watch
    watch, _watch = _watch, _Watch()
    watchers.clear()

    def finish() -> None:
        if watch.armed:
            _putback(watch, settle=False)  # the thread is not here
        for fd in (watch.r, watch.w):
            if fd >= 0:
                os.close(fd)
        watch.r = watch.w = -1
        endfork()

    return finish


atfork.append(_forget)
doors.wakeupfd = wakeupfd
onwatch.append(_doonwatch)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=beginfork, after_in_parent=endfork)
