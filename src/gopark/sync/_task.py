"""Task: one function of an errgroup, from being asked for to its result.

What it has in common with other tasks is in `gopark/_tasks.py`. It tells its group of its end, once
that can be seen.

Tests: tests/sync/test_errgroup.py,
tests/sync/test_errgroup_block.py, tests/sync/test_errgroup_limit.py
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context as Variables
from typing import Any, NamedTuple, Protocol, TypeVar

from gopark import _tasks
from gopark._runtime.base.lockrank import Holding, Mutex
from gopark._runtime.base.printstring import shown
from gopark._runtime.chan.chan import Chan
from gopark._runtime.sched.newproc import Creator
from gopark._tasks import QUEUED, RETURNED
from gopark.sync._common import PROGRAMENDS

__all__ = ("Call", "Task")

T = TypeVar("T")


class Call(NamedTuple):
    """What a queued task is going to run, and as whose."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    creator: Creator
    variables: Variables


class Owner(Protocol):
    """The group of a task."""

    _lock: Mutex

    def _failed(self, exc: Exception, traceback: Any) -> None: ...

    def _finished(self, task: Task[Any]) -> None: ...

    def _dropped(self) -> None: ...


class Task(_tasks.Task[T]):
    """What `Group.go` returns: the handle of one function of a group, a `gopark.Task`.

    Its exception is the group's to raise. `cancel` ends this function alone: that is no error of
    the group's.

    Example:
        >>> async def main():
        ...     async with gopark.sync.errgroup.Group() as g:
        ...         three, four = g.go(lambda: 3), g.go(lambda: 4)
        ...     print(three.result() + four.result())
        >>> gopark.run(main)
        7

    Go: none; there a function of a group stores its result itself.
    """

    __slots__ = ("_began", "_called", "_group")

    def __init__(self, group: Owner, fn: object) -> None:
        super().__init__(fn)
        self._group: Owner = group
        self._state = QUEUED
        self._called: Call | None = None  # while it is queued
        self._began: Chan[None] | None = None  # guarded by the group's lock

    def _notyet(self) -> RuntimeError:
        return RuntimeError(
            f"errgroup: {shown(self)} has no result yet; it is there once the group is done: "
            "after `await g.wait()`, or after the block of `async with Group() as g:`; "
            "`await task` waits for it"
        )

    async def started(self) -> None:
        """Wait until the function's turn has come, in a group with a limit.

        To await this after each `go` holds the loop up while all places are taken, as Go's
        `Go` does.

        Example:
            >>> async def main():
            ...     async with gopark.sync.errgroup.Group(limit=2) as g:
            ...         for n in range(3):
            ...             await g.go(gopark.gosched).started()
            >>> gopark.run(main)

        Go: the wait inside of errgroup.Group.Go.
        """
        with Holding(self._group._lock):
            if self._state is not QUEUED:
                return
            if self._began is None:
                self._began = Chan()
            began = self._began
        await began.recv()

    # --- for the group ------------------------------------------------------------------------

    def _returned(self, value: T) -> None:
        self._value = value
        self._end(RETURNED)
        self._group._finished(self)

    def _raised(self, exc: Exception) -> None:
        super()._raised(exc)
        self._group._failed(exc, self._traceback)
        self._group._finished(self)

    def _cancelled(self) -> None:
        super()._cancelled()
        self._group._finished(self)

    def _left(self, why: BaseException) -> None:
        super()._left(why)
        if isinstance(why, PROGRAMENDS):
            self._group._dropped()
        else:
            self._group._finished(self)
