"""`lock_os_thread`, and its end.

A G that has locked its thread has `g.lockedm`, its M `m.lockedg`; both are set and cleared on that
thread alone, by the G itself. `g.lockedcnt` counts the locks. What its M does from the next wait on
is in lockedm.py (`parklocked`). What was locked before `run` is in `initlock`, an item for each
lock, until `run` has given it to main.

Source: Go 1.27 runtime/proc.go (LockOSThread). Tests: tests/runtime/test_lockedm.py
"""

from __future__ import annotations

import threading
from typing import Final

from gopark._runtime.base.errors import NotOnGError
from gopark._runtime.base.runtime2 import G, M, tls
from gopark._runtime.sched.startm import current, startsysmon

__all__ = ("initlock", "lock_os_thread", "unlock_os_thread")


def lock_os_thread() -> None:
    """Wire the calling goroutine to its current thread until it unlocks as many times.

    No other goroutine runs on the thread meanwhile. A goroutine that ends while locked
    takes its thread with it. Called on the main thread before `run`, it locks the main
    goroutine of the next `run` from its first line on, as in an `init` of Go.

    Raises:
        NotOnGError: the calling thread runs no goroutine, and is not about to call `run`.
    Example:
        >>> async def main():
        ...     gopark.runtime.lock_os_thread()
        ...     thread = threading.get_ident()
        ...     await gopark.gosched()
        ...     print(threading.get_ident() == thread)
        >>> gopark.run(main)
        True

    Go: runtime.LockOSThread.
    """
    if _beforerun():
        startsysmon()  # as this thread is now: see startm.py
        initlock.append(None)
        return
    m, g = _ong("lock_os_thread")
    if m.g is g:
        return  # a callback from C never leaves its thread
    g.lockedcnt += 1
    m.lockedg = g
    g.lockedm = m
    m.onthread = True


def unlock_os_thread() -> None:
    """Undo one `lock_os_thread`; the last one frees the goroutine. No lock, no effect.

    Raises:
        NotOnGError: the calling thread runs no goroutine.
    Example:
        >>> async def main():
        ...     gopark.runtime.lock_os_thread()
        ...     gopark.runtime.unlock_os_thread()
        >>> gopark.run(main)

    Go: runtime.UnlockOSThread.
    """
    if _beforerun():
        del initlock[-1:]
        return
    m, g = _ong("unlock_os_thread")
    if not g.lockedcnt or m.g is g:
        return
    g.lockedcnt -= 1
    if not g.lockedcnt:
        m.lockedg = g.lockedm = None
        m.onthread = g.coro is None


initlock: Final[list[None]] = []  # an item for each lock_os_thread before `run`


def _beforerun() -> bool:
    """This is the main thread, and no `run` is active."""
    m = tls.m
    sched = current()
    return (
        (m is None or m.curg is None)
        and (sched is None or sched.main is None)
        and threading.current_thread() is threading.main_thread()
    )


def _ong(who: str) -> tuple[M, G]:
    m = tls.m
    if m is None or m.curg is None:
        raise NotOnGError(f"{who}() must be called in a goroutine; this thread runs none")
    return m, m.curg
