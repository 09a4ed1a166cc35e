"""Once: a function that runs one time, whoever comes first.

Who comes while it runs waits for its end: a flag alone, set before the call, would let the
second caller go on with nothing done. So the mutex is held during the call, and the flag is
set after it, however it ended.

Source: Go 1.27 sync/once.go. Tests: tests/sync/test_once.py
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from typing import TypeVarTuple

from gopark._runtime.base.errors import ScopeEnded
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.newproc import startable_check
from gopark.sync._common import PROGRAMENDS, checked, nocopy
from gopark.sync._mutex import Mutex

__all__ = ("Once",)

Ts = TypeVarTuple("Ts")


class Once:
    """Runs one function one time: `await once.do(fn)`, in plain code `block(once.do(fn))`.

    Example:
        >>> async def main():
        ...     once = gopark.sync.Once()
        ...     for _ in range(3):
        ...         await once.do(print, "only once")
        >>> gopark.run(main)
        only once

    Go: sync.Once.
    """

    __slots__ = ("__weakref__", "_done", "_mu")

    def __init__(self) -> None:
        self._done = False
        self._mu = Mutex()

    def __repr__(self) -> str:
        return f"<Once {'done' if self._done else 'not done'} at {id(self):#x}>"

    __reduce_ex__ = nocopy

    async def do(self, fn: Callable[[*Ts], object], /, *args: *Ts) -> None:
        """Call `fn(*args)` if this is the first call of `do`, else wait until that has ended.

        An exception of the function reaches the caller that ran it; it counts as done all the
        same; unless a scope of that caller ended it (`ScopeEnded`), then the next
        caller runs it. A function that calls `do` of its own Once waits for itself, a deadlock.

        Args:
            fn: A plain function or an `async def`. Its result is dropped.
            args: What it is called with.
        Raises:
            TypeError: `fn` is not a function, or cannot be called so.
        Example:
            >>> once = gopark.sync.Once()
            >>> gopark.run(once.do, print, "hello")
            hello
            >>> gopark.run(once.do, print, "hello again")

        Go: sync.Once.Do.
        """
        startable_check("Once.do", fn)
        # Read without the mutex: a stale False costs a look with it.
        if self._done:
            return
        async with self._mu:
            if not self._done:
                checked("Once.do", fn, args, {})  # what was not even called is not done
                try:
                    result = fn(*args)
                    if isawaitable(result):
                        await result
                except (*PROGRAMENDS, ScopeEnded):
                    raise  # another program, or another goroutine, may have it done
                except BaseException:
                    self._done = True
                    raise
                self._done = True


transparent.add(Once.do.__code__)
