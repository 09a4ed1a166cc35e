"""Task: one function of an errgroup, from being asked for to its result.

    QUEUED ──> RUNNING ──> RETURNED, RAISED or LEFT (by Goexit, or the end of the program)
       └─────────────────> LEFT (by Ctrl-C, or the end of the program)

The state is stored last, so who sees that a task is done sees the result with it. A function
that ends the whole program (sys.exit, Ctrl-C) is never done: nobody is to go on as if it were.

Relies on: attribute stores of one thread are seen in their order by others.
Tests: tests/sync/test_errgroup.py,
tests/sync/test_errgroup_block.py, tests/sync/test_errgroup_limit.py
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context as Variables
from types import CoroutineType, TracebackType
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from gopark._runtime.base.errors import Goexit, ProgramEnded
from gopark._runtime.base.lockrank import Holding, Mutex
from gopark._runtime.base.printstring import shown
from gopark._runtime.chan.chan import Chan
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.newproc import Creator, Watched
from gopark.sync._again import mine, raise_again, traceback_of
from gopark.sync._common import PROGRAMENDS, nocopy

__all__ = (
    *("LEFT", "QUEUED", "RAISED", "RETURNED", "RUNNING", "UNWOUND"),
    *("Call", "Plain", "Task", "drive"),
)

T = TypeVar("T")

QUEUED: Final = "queued"
RUNNING: Final = "running"
RETURNED: Final = "returned"
RAISED: Final = "raised"
LEFT: Final = "left"

# What ends the goroutine and not the program, or comes when that has ended.
UNWOUND: Final = (Goexit, *PROGRAMENDS)


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

    def _failed(self, exc: Exception, traceback: TracebackType | None) -> None: ...

    def _finished(self) -> None: ...

    def _dropped(self) -> None: ...


class Task(Generic[T]):
    """What `Group.go` returns: the handle of one function of a group.

    Example:
        >>> async def main():
        ...     async with gopark.sync.errgroup.Group() as g:
        ...         three, four = g.go(lambda: 3), g.go(lambda: 4)
        ...     print(three.result() + four.result())
        >>> gopark.run(main)
        7

    Go: none; there a function of a group stores its result itself.
    """

    __slots__ = (
        "__weakref__",
        "_began",
        "_call",
        "_err",
        "_group",
        "_name",
        "_state",
        "_traceback",
        "_value",
    )

    def __init__(self, group: Owner, fn: object) -> None:
        self._group: Owner = group
        self._name: str = getattr(fn, "__qualname__", None) or shown(fn)
        self._state: str = QUEUED
        self._call: Call | None = None  # while it is queued
        self._began: Chan[None] | None = None  # guarded by the group's lock
        self._value: T | None = None
        self._err: Exception | None = None
        self._traceback: TracebackType | None = None

    def __repr__(self) -> str:
        return f"<Task {self._name} {self._state}>"

    __reduce_ex__ = nocopy

    def result(self) -> T:
        """What the function has returned; an exception that it has raised is raised here.

        Once the group is done, it is there. Each call raises a copy, with the frames that the
        function has passed: many may ask, and the exception itself is what the group raises.

        Raises:
            RuntimeError: the function has not returned yet, or has ended by goexit.
        Example:
            >>> async def main():
            ...     g = gopark.sync.errgroup.Group()
            ...     task = g.go(lambda: 42)
            ...     await g.wait()
            ...     print(task.result())
            >>> gopark.run(main)
            42

        Go: none.
        """
        if self._state is RETURNED:
            return self._value  # type: ignore[return-value]
        if self._err is not None:
            raise_again(mine(self._err, self._traceback), self._traceback)
        if self._state is LEFT:
            raise RuntimeError(
                f"errgroup: {shown(self)} has no result: goexit, or the end of its program, or "
                "Ctrl-C came first"
            )
        raise RuntimeError(
            f"errgroup: {shown(self)} has no result yet; it is there once the group is done: "
            "after `await g.wait()`, or after the block of `async with Group() as g:`"
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
        self._state = RETURNED
        self._group._finished()

    def _raised(self, exc: Exception) -> None:
        self._traceback = traceback_of(exc)
        self._err = exc
        self._state = RAISED
        self._group._failed(exc, self._traceback)
        self._group._finished()

    def _left(self, why: BaseException) -> None:
        self._state = LEFT
        if isinstance(why, PROGRAMENDS):
            self._group._dropped()
        else:
            self._group._finished()

    def _unbegun(self) -> None:
        """Its program has ended before it began."""
        self._left(ProgramEnded())


async def drive(task: Task[Any], coro: Coroutine[Any, Any, Any]) -> None:
    """The goroutine of a function that is an `async def`."""
    try:
        value = await coro
    except Exception as exc:
        task._raised(exc)
    except UNWOUND as why:
        task._left(why)
        raise
    else:
        task._returned(value)


class Plain(Watched):
    """The function of a goroutine that is no `async def`."""

    __slots__ = ("fn", "task")

    def __init__(self, task: Task[Any], fn: Callable[..., Any]) -> None:
        self.task = task
        self.fn = fn

    def unbegun(self) -> None:
        self.task._unbegun()

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        task = self.task
        try:
            value = self.fn(*args, **kwargs)
        except Exception as exc:
            task._raised(exc)
        except UNWOUND as why:
            task._left(why)
            raise
        else:
            if type(value) is CoroutineType:  # a decorated `async def`: the goroutine goes on as it
                return drive(task, value)
            task._returned(value)
        return None


transparent.update((drive.__code__, Plain.__call__.__code__))
