"""What users add to a trace: tasks, regions, messages.

A task is carried by a context, as a value; a region belongs to the goroutine that began it, and
to the task of its context. All of it is cheap while nobody traces.

Locks: none.
Source: Go 1.27 runtime/trace/annotation.go. Tests: tests/trace/test_annotation.py
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, TypeVar, overload

from gopark._runtime.base.errors import nocopy
from gopark._runtime.base.printstring import shown
from gopark._runtime.prof.trace import LOG, REGION, REGION_END, TASK, TASK_END, emit, now, tracing
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.newproc import isasync, startable_check
from gopark.context import Context, with_value
from gopark.context._with import checked

__all__ = ("Region", "Task", "log", "new_task", "region", "start_region", "with_region")

T = TypeVar("T")

# Relies on: next() of a count hands out each number once.
_ids: Final = itertools.count(1)


class _Key:
    """The key of the task in a context."""

    def __repr__(self) -> str:
        return "trace.task"


_KEY: Final = _Key()


def _taskof(who: str, ctx: Context) -> int:
    checked(who, ctx)
    task = ctx.value(_KEY)
    return task._id if isinstance(task, Task) else 0


def _name(who: str, what: str, name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{who}: the {what} must be a string, got {shown(name)}")
    return str(name)


class _Block:
    """What ends with its block."""

    __slots__ = ()

    __reduce_ex__ = nocopy

    def end(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()


class Task(_Block):
    """Something a program works on, by one goroutine or several; made by `new_task`.

    `with task:` ends it with the block.

    Example:
        >>> ctx, task = gopark.trace.new_task(gopark.context.background(), "request")
        >>> with task:
        ...     gopark.trace.log(ctx, "user", "ada")

    Go: runtime/trace.Task.
    """

    __slots__ = ("_id", "_open")

    def __init__(self) -> None:
        self._id = next(_ids)
        self._open = True

    def end(self) -> None:
        """The task is done; only the first call counts.

        Example:
            >>> _, task = gopark.trace.new_task(gopark.context.background(), "request")
            >>> task.end()

        Go: Task.End.
        """
        if self._open:
            self._open = False
            if tracing.on:
                t, goid = now()
                emit((TASK_END, t, goid, self._id))


def new_task(ctx: Context, name: str) -> tuple[Context, Task]:
    """Begin a task; what has the context that comes with it belongs to it.

    Args:
        ctx: The context that the new one is derived from; its task has this one as a part.
        name: What kind of task it is; a program should have few of them.
    Returns:
        The new context and the task.
    Raises:
        TypeError: `ctx` is no context, or `name` no string.
    Example:
        >>> ctx, task = gopark.trace.new_task(gopark.context.background(), "request")
        >>> task.end()

    Go: runtime/trace.NewTask.
    """
    parent = _taskof("new_task", ctx)
    name = _name("new_task", "name", name)
    task = Task()
    if tracing.on:
        t, goid = now()
        emit((TASK, t, goid, task._id, parent, name))
    return with_value(ctx, _KEY, task), task


def log(ctx: Context, category: str, message: str) -> None:
    """A message at this moment, in the lane of the calling goroutine.

    Args:
        ctx: A context; the message belongs to its task.
        category: What kind of message; may be empty.
        message: The text.
    Raises:
        TypeError: `ctx` is no context, or one of the others no string.
    Example:
        >>> gopark.trace.log(gopark.context.background(), "cache", "miss")

    Go: runtime/trace.Log.
    """
    checked("log", ctx)
    category, message = _name("log", "category", category), _name("log", "message", message)
    if tracing.on:
        task = _taskof("log", ctx)
        t, goid = now()
        emit((LOG, t, goid, task, category, message))


class Region(_Block):
    """A part of what a goroutine does; made by `region` and `start_region`.

    Example:
        >>> with gopark.trace.region(gopark.context.background(), "parse"):
        ...     pass

    Go: runtime/trace.Region.
    """

    __slots__ = ("_began", "_name", "_task")

    def __init__(self, task: int, name: str) -> None:
        self._task = task
        self._name = name
        self._began = False

    def _begin(self) -> None:
        if tracing.on:
            self._began = True
            t, goid = now()
            emit((REGION, t, goid, self._task, self._name))

    def __enter__(self) -> Any:
        if not self._began:
            self._begin()
        return self

    def end(self) -> None:
        """The region ends, in the goroutine in which it began.

        Example:
            >>> gopark.trace.start_region(gopark.context.background(), "parse").end()

        Go: Region.End.
        """
        if self._began:
            self._began = False
            if tracing.on:
                t, goid = now()
                emit((REGION_END, t, goid, self._task, self._name))


def region(ctx: Context, name: str) -> Region:
    """`with region(ctx, name):` marks what the block does in this goroutine.

    Args:
        ctx: A context; the region belongs to its task.
        name: What kind of work it is; a program should have few of them.
    Raises:
        TypeError: `ctx` is no context, or `name` no string.
    Example:
        >>> with gopark.trace.region(gopark.context.background(), "parse"):
        ...     pass

    Go: runtime/trace.StartRegion, deferred.
    """
    return Region(_taskof("region", ctx), _name("region", "name", name))


def start_region(ctx: Context, name: str) -> Region:
    """Begin a region, whose `end` is to be called in the same goroutine.

    Regions nest: one that began later ends first.

    Args:
        ctx, name: As for `region`.
    Raises:
        TypeError: `ctx` is no context, or `name` no string.
    Example:
        >>> region = gopark.trace.start_region(gopark.context.background(), "parse")
        >>> region.end()

    Go: runtime/trace.StartRegion.
    """
    region = Region(_taskof("start_region", ctx), _name("start_region", "name", name))
    region._begin()
    return region


@overload
def with_region(
    ctx: Context, name: str, fn: Callable[[], Coroutine[Any, Any, T]]
) -> Coroutine[Any, Any, T]: ...
@overload
def with_region(ctx: Context, name: str, fn: Callable[[], T]) -> T: ...


def with_region(ctx: Context, name: str, fn: Callable[[], Any]) -> Any:
    """Call `fn` in a region.

    Args:
        ctx, name: As for `region`.
        fn: An `async def`, then the call is to be awaited, or a plain function.
    Returns:
        What `fn` returns.
    Raises:
        TypeError: `ctx` is no context, `name` no string, or `fn` no function.
    Example:
        >>> gopark.trace.with_region(gopark.context.background(), "sum", lambda: 1 + 1)
        2

    Go: runtime/trace.WithRegion.
    """
    who = "with_region"
    startable_check(who, fn)
    marked = Region(_taskof(who, ctx), _name(who, "name", name))
    if isasync(fn):
        return _within(marked, fn)
    with marked:
        result = fn()
    if isinstance(result, Coroutine):  # a decorated `async def`: its region is where it runs
        return _within(region(ctx, name), lambda: result)
    return result


async def _within(marked: Region, fn: Callable[[], Any]) -> Any:
    with marked:
        return await fn()


transparent.update((with_region.__code__, _within.__code__))
