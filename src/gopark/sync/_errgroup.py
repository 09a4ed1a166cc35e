"""Group: functions that run as goroutines, one error, one context, one end.

Invariants, true whenever `_lock` is free:
  E1  _active functions run; no more than _limit, unless that was lowered meanwhile
  E2  a task is queued  => _active has reached _limit
  E3  a G waits         => _active > 0 or a task is queued
  E4  _closed           => nothing runs, nothing is queued, and nothing will be
Queued tasks have no goroutine yet: who ends a task starts the next, as the one who asked for
it: with its context variables, and its line as the creator.

Which errors count: all that come before the group has an error, so the first in any case.
Afterwards not those that the group itself has brought about: `Canceled`, what `ctx.err()` is,
and the cause raised once more.

Who waits first gets the errors themselves, who waits later, or asks a task, copies (_again.py).

Who owns a wake-up: who ends the last task takes all waiters off, and readies them.
Locks: `_lock`, rank SEMA; contexts, channels and start of goroutines after it is released.
Source: golang.org/x/sync/errgroup as of Go 1.27. Tests: tests/sync/test_errgroup.py,
tests/sync/test_errgroup_block.py, tests/sync/test_errgroup_limit.py
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextvars import copy_context
from types import FrameType, TracebackType
from typing import Any, Final, ParamSpec, TypeVar, overload

from gopark import _tasks
from gopark._runtime.base.errors import AmidRuntime, ProgramEnded, ScopeEnded
from gopark._runtime.base.lockrank import Holding, lock
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import PARK, Command, G
from gopark._runtime.base.suspend import suspends
from gopark._runtime.sched.finq import later
from gopark._runtime.sched.lockedm import block
from gopark._runtime.sched.newproc import Creator, Wrapped, start, startable
from gopark._runtime.sched.runq import ready
from gopark._runtime.sched.sema import WOKEN, Sema, ongoroutine
from gopark._runtime.scope.scope import Scope, end, shelter
from gopark._tasks import RUNNING, UNWOUND, Plain, drive
from gopark.context import Canceled, Context, cause, current, use, with_cancel_cause
from gopark.context._cancel import link
from gopark.context._scope import Ear
from gopark.context._with import checked as checkedctx
from gopark.sync._again import copied, mine, raise_again
from gopark.sync._common import PROGRAMENDS, checked, nocopy
from gopark.sync._task import Call, Task

__all__ = ("Group", "with_context")

P = ParamSpec("P")
T = TypeVar("T")

_getframe: Final = sys._getframe
Error = tuple[Exception, TracebackType | None]


class Group:
    """Functions that run as goroutines and are waited for together.

    The first error cancels `ctx`, and is what `wait` raises. As `async with Group() as g:`, in
    plain code `with`, the block ends when all functions have, and no goroutine outlives it.

    Args:
        ctx: What the group's own context is derived from; without it `context.current()`.
        limit: How many functions run at a time; None: any number. See `set_limit`.
        cancel: Once `ctx` is done, by an error above all, the waits of the functions, and of the
            block, end, as if each task was cancelled. Without it they are told by `ctx` alone.
    Raises:
        TypeError: `ctx` is no context, or `limit` is no integer.
    Example:
        >>> async def square(n):
        ...     return n * n
        >>> async def main():
        ...     async with gopark.sync.errgroup.Group(limit=2) as g:
        ...         tasks = [g.go(square, n) for n in range(5)]
        ...     print([task.result() for task in tasks])
        >>> gopark.run(main)
        [0, 1, 4, 9, 16]

    Go: errgroup.Group, of golang.org/x/sync.
    """

    __slots__ = (
        "__weakref__",
        "_active",
        "_body",
        "_cancel",
        "_closed",
        "_ears",
        "_errors",
        "_limit",
        "_lock",
        "_queue",
        "_running",
        "_sema",
        "_untold",
        "_use",
        "ctx",
    )

    ctx: Context  # current in the group's block and functions; done when the group is

    def __init__(
        self, ctx: Context | None = None, *, limit: int | None = None, cancel: bool = False
    ) -> None:
        self._limit = _checked("Group", limit)
        if ctx is None:
            ctx = current()
        elif isinstance(ctx, int):  # what Go's SetLimit, and most pools of others, take first
            raise TypeError(f"Group() needs a context, got {shown(ctx)}: Group(limit={shown(ctx)})")
        checkedctx("Group", ctx)
        self.ctx, self._cancel = with_cancel_cause(ctx)
        self._sema = Sema()
        self._lock = self._sema.lock
        self._active = 0
        self._queue: deque[Task[Any]] = deque()
        self._errors: list[Error] = []
        self._untold = [True]  # popped by the first who is told of the errors
        self._closed = False
        self._use: use | None = None
        self._running: set[Task[Any]] = set()  # with `cancel`: whom to end; guarded by the lock
        self._body: _Body | None = None  # with `cancel`: the block
        self._ears: Ear | None = None
        if cancel:
            self._ears = Ear(self.ctx, self._cancelall)
            link(self._ears)

    def __repr__(self) -> str:
        queued = f", {len(self._queue)} queued" if self._queue else ""
        limit = "" if self._limit is None else f", limit {self._limit}"
        return f"<errgroup.Group {self._active} running{queued}{limit} at {id(self):#x}>"

    __reduce_ex__ = nocopy

    # --- starting -------------------------------------------------------------------------------

    @overload
    def go(
        self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Task[T]: ...

    @overload
    def go(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Task[T]: ...

    def go(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task[Any]:
        """Run `fn(*args, **kwargs)` as a goroutine of the group, and return at once.

        Above the limit it waits for its turn, in the order of the calls. Every function is run,
        also if the group has failed before its turn: it can ask `ctx.err()`.

        Args:
            fn: An `async def` or a plain function. An `Exception` that it raises is the group's.
            args, kwargs: What it is called with.
        Returns:
            A handle, with its result once the group is done.
        Raises:
            TypeError: `fn` cannot be called so; see `gopark.go`.
            RuntimeError: the group's block has ended.
        Example:
            >>> async def main():
            ...     g = gopark.sync.errgroup.Group()
            ...     task = g.go(len, "gopher")
            ...     await g.wait()
            ...     print(task.result())
            >>> gopark.run(main)
            6

        Go: errgroup.Group.Go. Differs: does not wait; `await task.started()` does.
        """
        task = self._add("go", _getframe(1), True, fn, args, kwargs)
        assert task is not None
        return task

    @overload
    def try_go(
        self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Task[T] | None: ...

    @overload
    def try_go(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Task[T] | None: ...

    def try_go(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task[Any] | None:
        """As `go` if the limit allows it now; None if it does not.

        Args:
            fn, args, kwargs: As for `go`.
        Raises:
            TypeError: `fn` cannot be called so; see `gopark.go`.
            RuntimeError: the group's block has ended.
        Example:
            >>> async def main():
            ...     async with gopark.sync.errgroup.Group(limit=1) as g:
            ...         print(g.try_go(gopark.gosched), g.try_go(gopark.gosched))
            >>> gopark.run(main)
            <Task gosched running> None

        Go: errgroup.Group.TryGo.
        """
        return self._add("try_go", _getframe(1), False, fn, args, kwargs)

    def set_limit(self, n: int | None) -> None:
        """At most `n` functions run at a time from now on.

        Args:
            n: 0: none at all. Negative, or None: no limit.
        Raises:
            RuntimeError: functions of the group are running.
            TypeError: `n` is no integer.
        Example:
            >>> gopark.sync.errgroup.Group().set_limit(10)

        Go: errgroup.Group.SetLimit.
        """
        n = _checked("set_limit", n)
        with Holding(self._lock):
            if self._active:
                raise RuntimeError(
                    f"errgroup: modify limit while {self._active} goroutines in the group "
                    "are still active"
                )
            self._limit = n
            tasks = self._admit()
        self._startall(tasks)

    def _add(
        self, who: str, frame: FrameType, wait: bool, fn: Callable[..., Any], args: Any, kwargs: Any
    ) -> Task[Any] | None:
        checked(f"Group.{who}", fn, args, kwargs)
        task: Task[Any] = Task(self, fn)
        with use(self.ctx):
            call = Call(fn, args, kwargs, Creator(frame), copy_context())
        with Holding(self._lock):
            if self._closed:
                raise RuntimeError(f"errgroup: {who}: the block of {shown(self)} has ended")
            if not wait and self._full():  # else nothing is queued: E2
                return None
            task._called = call
            self._queue.append(task)
            tasks = self._admit()
        self._startall(tasks)
        return task

    def _full(self) -> bool:
        return self._limit is not None and self._active >= self._limit

    def _admit(self) -> list[Task[Any]]:
        """Those whose turn it is, to be started by the caller. Lock held."""
        tasks = []
        while self._queue and not self._full():
            task = self._queue.popleft()
            task._state = RUNNING
            self._active += 1
            if self._ears is not None:
                self._running.add(task)
            tasks.append(task)
        return tasks

    def _startall(self, tasks: list[Task[Any]]) -> None:
        for n, task in enumerate(tasks):
            call, task._called = task._called, None
            assert call is not None
            try:
                call.variables.run(_start, task, call)
            except Exception as exc:  # a function that is marked as `async def`, and is none
                task._raised(exc)
            except BaseException:  # Ctrl-C in one, or the end of the program: nothing more begins
                self._drop(tasks[n:])
                raise
            if task._began is not None:
                task._began.close()
            if self._ears is not None and self._ears._end:  # it was none of those that were ended
                end(task)

    # --- ending -----------------------------------------------------------------------------------

    def _failed(self, exc: Exception, traceback: TracebackType | None) -> None:
        """A function, or the block, has raised this."""
        end = self.ctx.err()
        why = None if end is None else cause(self.ctx)
        with Holding(self._lock):
            first = not self._errors
            own = exc is why or isinstance(exc, Canceled) or end == exc
            if end is not None and own and not first:
                return
            self._errors.append((exc, traceback))
        if first:
            self._cancel(exc)

    def _cancelall(self) -> None:
        """The context is done, and that is to end all waits."""
        try:
            with Holding(self._lock):
                tasks = list(self._running)
        except AmidRuntime:
            later(self._cancelall)
            return
        for task in tasks:
            end(task)
        if self._body is not None:
            end(self._body)

    def _finished(self, task: Task[Any]) -> None:
        """A function has ended: its place is for the next."""
        with Holding(self._lock):
            self._active -= 1
            if self._ears is not None:
                self._running.discard(task)
            tasks = self._admit()
            waiters = self._done()
        self._startall(tasks)
        for g in waiters:
            ready(g)

    def _dropped(self) -> None:
        """A function has ended with its program: none that is queued will be started in that."""
        self._drop(ended=1)

    def _drop(self, admitted: Sequence[Task[Any]] = (), ended: int = 0) -> None:
        """What is queued will not be run, nor what has been admitted and has not begun."""
        with Holding(self._lock):
            self._active -= len(admitted) + ended
            tasks = [*admitted, *self._queue]
            self._queue.clear()
            for task in tasks:
                task._called = None
                self._running.discard(task)
            waiters = self._done()
        for task in tasks:
            _tasks.Task._left(task, ProgramEnded())  # not for the group, which has seen to it
            if task._began is not None:
                task._began.close()
        for g in waiters:
            ready(g)

    def _done(self) -> list[G]:
        """Whom to wake, if nothing is left to be waited for. Lock held."""
        waiters: list[G] = []
        if not self._active and not self._queue:
            while (g := self._sema.dequeue(WOKEN)) is not None:
                waiters.append(g)
        return waiters

    @suspends
    def _alldone(self) -> Generator[Command, None, None]:
        """Wait until nothing runs and nothing is queued."""
        lock(self._lock)
        try:
            waits = self._active > 0 or bool(self._queue)
            if waits:
                g = ongoroutine(f"wait for {shown(self)}", "gopark.block(g.wait()) or `with`")
                self._sema.enqueue(g)
                self._sema.park(g, "sync.WaitGroup.Wait")
        except BaseException:
            self._lock.append(None)
            raise
        if not waits:
            self._lock.append(None)
            return
        try:
            _ = None is (None is (yield PARK))
        except BaseException as exc:
            self._sema.left(g, exc, _nothingowned)
            raise
        g.elem = None

    async def wait(self) -> None:
        """Wait until all functions of the group have ended; then its context is cancelled.

        Raises:
            ExceptionGroup: more than one function has failed; the first error comes first. What
                one has raised because the group was cancelled does not count. If only one has
                failed, its exception is raised itself, unchanged.
            NotOnGError: it has to wait, and the thread runs no goroutine.
        Example:
            >>> async def fail():
            ...     raise OSError("disk full")
            >>> async def main():
            ...     g = gopark.sync.errgroup.Group()
            ...     g.go(fail)
            ...     try:
            ...         await g.wait()
            ...     except OSError as err:
            ...         print(err, gopark.context.cause(g.ctx) is err)
            >>> gopark.run(main)
            disk full True

        Go: errgroup.Group.Wait.
        """
        await self._alldone()
        self._cancel(None)
        self._raise(None)

    def _raise(self, body: BaseException | None) -> None:
        """Raise what the group has failed with, unless that is on its way: what the body raised."""
        errors = list(self._errors)
        if not errors:
            return
        try:
            first = self._untold.pop()
        except IndexError:
            first = False
        if len(errors) == 1:
            exc, traceback = errors[0]
            if exc is body:
                return
            if first:
                raise_again(exc, traceback)
            raise_again(mine(exc, traceback), traceback)
        together: list[Exception] = []
        for exc, traceback in errors:
            one: Any = exc if first else copied(exc, frames=True)
            together.append(one.with_traceback(traceback))
        raise_again(ExceptionGroup(f"{len(errors)} functions of a group failed", together), None)

    # --- async with, with -----------------------------------------------------------------------

    async def __aenter__(self) -> Group:
        return self.__enter__()

    def __enter__(self) -> Group:
        if self._closed or self._use is not None:
            raise RuntimeError(f"errgroup: {shown(self)} has had its block; make another group")
        if self._ears is not None:
            body = _Body(self)
            body._enter()
            self._body = body
        self._use = use(self.ctx)
        self._use.__enter__()
        if self._ears is not None and self._ears._end:
            end(body)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        mine, why = self._leave(exc, traceback)
        await self._end(None if mine else exc, why)
        # Not `bool`: what a `return` in the block gives would be "maybe None" to type checkers.
        return mine or None  # type: ignore[return-value]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Here, for `block` may run in other context variables.
        mine, why = self._leave(exc, traceback)
        block(self._end(None if mine else exc, why))
        return mine or None  # type: ignore[return-value]

    async def _end(self, exc: BaseException | None, why: Exception | None) -> None:
        """What the block's end has to wait for, and to raise; `why`: the group has ended its body.

        Once all have been told to end, no scope around the block ends the wait for them.
        """
        if isinstance(exc, PROGRAMENDS):
            return  # the program has ended: nobody can wait any more, and nobody runs
        try:
            if exc is None:
                await self._close()
            else:
                with shelter():
                    await self._close()
        except PROGRAMENDS:
            raise
        except BaseException as amid:  # Ctrl-C; once more, it breaks off the wait
            self._interrupted(amid)
            with shelter():
                await self._close()
            raise
        self._cancel(None)
        if exc is None or isinstance(exc, Exception):
            self._raise(exc)
            if why is not None:
                raise why
        else:  # passes through; what would be lost is told with it
            for err, _ in self._errors:
                exc.add_note(f"a function of the group has failed: {shown(err)}")

    def _leave(
        self, exc: BaseException | None, traceback: TracebackType | None
    ) -> tuple[bool, Exception | None]:
        """The block's body has ended, by this exception if any. True: the group has ended it."""
        body = self._body
        if body is not None:
            body._leave(exc)
            if isinstance(exc, ScopeEnded) and exc.scope is body:
                self._unuse()
                return True, self.ctx.err()
        self._unuse()
        if isinstance(exc, Exception):
            self._failed(exc, traceback)
        elif exc is not None:
            self._interrupted(exc)
        return False, None

    def _unuse(self) -> None:
        if self._use is not None:
            try:
                self._use.__exit__(None, None, None)
            except ValueError:
                pass  # it ends in other context variables than it began with, as generators may

    def _interrupted(self, why: BaseException) -> None:
        """By Ctrl-C, or sys.exit: who runs is told, and what is queued is not begun any more."""
        if not isinstance(why, UNWOUND):
            self._drop()
        self._cancel(None)

    async def _close(self) -> None:
        """Wait until nothing is left, and let nothing in any more."""
        while not self._closed:
            await self._alldone()
            with Holding(self._lock):
                self._closed = not self._active and not self._queue


class _Body(Scope):
    """The block of a group that ends waits."""

    __slots__ = ("_group",)

    _asyncios = "asyncio.TaskGroup"

    def __init__(self, group: Group) -> None:
        super().__init__()
        self._group = group

    def __repr__(self) -> str:
        return repr(self._group)


def with_context(ctx: Context) -> tuple[Group, Context]:
    """A group and its context, which is derived from `ctx`.

    Args:
        ctx: The parent.
    Returns:
        `(group, group.ctx)`.
    Raises:
        TypeError: `ctx` is no context.
    Example:
        >>> g, ctx = gopark.sync.errgroup.with_context(gopark.context.background())
        >>> ctx is g.ctx
        True

    Go: errgroup.WithContext, of golang.org/x/sync.
    """
    if ctx is None:
        raise TypeError(
            "cannot create context from nil parent: with_context() was given None; "
            "Group() derives its context from the current one"
        )
    checkedctx("with_context", ctx)
    group = Group(ctx)
    return group, group.ctx


def _checked(who: str, limit: object) -> int | None:
    if limit is None:
        return None
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise TypeError(
            f"errgroup: {who}: the limit must be an integer or None, got {shown(limit)}"
        )
    return None if limit < 0 else limit


def _start(task: Task[Any], call: Call) -> None:
    coro = startable("go", call.fn, call.args, call.kwargs)
    if coro is None:
        start(None, Plain(task, call.fn), call.args, call.kwargs, call.creator)
    else:
        start(Wrapped(coro, drive(task, coro), task._unbegun), call.fn, (), {}, call.creator)


def _nothingowned(_: str | None) -> None:
    """All are woken: there is nobody to pass a wake-up on to."""
