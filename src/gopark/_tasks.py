"""Task: a function that runs as a goroutine, and what comes of it: spawn, gather, as_completed.

    QUEUED ──> RUNNING ──> RETURNED, RAISED, CANCELLED, LEFT (by Goexit, the end of the program)
       └─────────────────> LEFT (by Ctrl-C, or the end of the program)

The state is stored last, so who sees that a task has ended sees the result with it. A function that
ends the whole program (sys.exit, Ctrl-C) never ends as a task: nobody is to go on as if it had.

A task is a scope around its function (scope.py), outside of all others: `cancel` ends that.

Who waits, and who ends, look in this order, and one of the two sees the other:
  who waits                            the task ends
  1. puts his channel, or function     1. stores the state
  2. looks at the state                2. looks for channel and functions

Relies on: attribute stores of one thread are seen in their order by others; append and pop of a
list, each being atomic.
Source: none in Go. As asyncio's tasks. Tests: tests/test_tasks.py
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from inspect import isawaitable
from types import CoroutineType, TracebackType
from typing import Any, ClassVar, Final, Generic, ParamSpec, TypeVar, overload

from gopark._runtime.base.errors import Goexit, ProgramEnded, ScopeEnded
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import G, getg, tls
from gopark._runtime.base.suspend import unawaited
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.recvonly import RecvOnly, put, shut
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.newproc import Watched, Wrapped, start, startable
from gopark._runtime.scope.scope import Scope, begun, end, settle, shelter
from gopark._runtime.twin import coroutines
from gopark.context._context import Canceled
from gopark.sync._again import mine, raise_again, traceback_of

__all__ = ("Plain", "Task", "as_completed", "drive", "gather", "spawn")

P = ParamSpec("P")
T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")

QUEUED: Final = "queued"
RUNNING: Final = "running"
RETURNED: Final = "returned"
RAISED: Final = "raised"
CANCELLED: Final = "cancelled"
LEFT: Final = "left"
ENDED: Final = frozenset({RETURNED, RAISED, CANCELLED, LEFT})

# What ends the goroutine and not the program, or comes when that has ended.
PROGRAMENDS: Final = (GeneratorExit, ProgramEnded)
UNWOUND: Final = (Goexit, *PROGRAMENDS)


class _Ended(RecvOnly[None]):
    """What `Task.ended` returns."""

    __slots__ = ()

    what = "the channel of a task"
    instead = "it is closed when the task has ended"


class _Completed(RecvOnly[T]):
    """What `as_completed` returns."""

    __slots__ = ()

    what = "the channel of as_completed"
    instead = "each task comes when it has ended"


class Task(Scope, Generic[T]):
    """A function that runs as a goroutine: `await task` gives what it returns, or raises.

    Made by `gopark.spawn` and by `errgroup.Group.go`. Any number of goroutines may await it.

    Example:
        >>> async def fetch(n):
        ...     await gopark.time.sleep(0.001)
        ...     return n * n
        >>> async def main():
        ...     task = gopark.spawn(fetch, 7)
        ...     print(await task)
        >>> gopark.run(main)
        49

    Go: none; there a goroutine sends its result on a channel.
    """

    __slots__ = ("_calls", "_err", "_name", "_state", "_traceback", "_value", "_why")

    _istask: ClassVar[bool] = True

    # Not set before they are needed.
    _traceback: TracebackType | None
    _value: T
    _why: BaseException  # what `cancel` was given, if it was given something

    def __init__(self, fn: object) -> None:
        self._armed = [None]  # as Scope.__init__, in line
        self._over = False
        self._g = None
        self._name: str = getattr(fn, "__qualname__", None) or shown(fn)
        self._state: str = RUNNING
        self._calls: list[Callable[[Task[T]], object]] = []
        self._err: Exception | None = None

    def __repr__(self) -> str:
        return f"<Task {self._name} {self._state}>"

    def _words(self) -> str:
        return f"Task({self._name.replace('.<locals>', '')})"

    # --- what comes of it ---------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """It has ended, in whatever way, and has a result, or an exception.

        Go: none.
        """
        return self._state in ENDED

    @property
    def cancelled(self) -> bool:
        """It has ended because of `cancel`: the exception at its wait has left the function.

        Go: none.
        """
        return self._state is CANCELLED

    def result(self) -> T:
        """What the function has returned; an exception that it has raised is raised here.

        Each call raises a copy, with the frames that the function has passed: many may ask.

        Raises:
            RuntimeError: the function has not returned yet, or has ended by goexit.
            Canceled: it was cancelled.
        Example:
            >>> async def main():
            ...     task = gopark.spawn(lambda: 42)
            ...     await task.ended().recv()
            ...     print(task.result())
            >>> gopark.run(main)
            42

        Go: none.
        """
        state = self._state
        if state is RETURNED:
            return self._value
        self._tellasked()
        if self._err is not None:
            raise_again(mine(self._err, self._traceback), self._traceback)
        if state is CANCELLED:
            raise Canceled(f"task {self._name} was cancelled") from getattr(self, "_why", None)
        if state is LEFT:
            raise RuntimeError(
                f"{shown(self)} has no result: goexit, or the end of its program, or Ctrl-C came "
                "first"
            )
        raise self._notyet()

    def _tellasked(self) -> None:
        """Somebody is told what it has raised."""

    def _notyet(self) -> RuntimeError:
        return RuntimeError(f"{shown(self)} has no result yet: `await task` waits for it")

    def exception(self) -> Exception | None:
        """What the function has raised, as a copy; None if it has returned.

        Raises:
            RuntimeError: the function has not ended yet, or has ended by goexit.
        Example:
            >>> async def main():
            ...     task = gopark.spawn(int, "x")
            ...     await task.ended().recv()
            ...     print(type(task.exception()))
            >>> gopark.run(main)
            <class 'ValueError'>

        Go: none.
        """
        try:
            self.result()
        except Exception as exc:
            if self._state in (RAISED, CANCELLED):
                return exc
            raise
        return None

    def ended(self) -> Chan[None]:
        """A channel that is closed when the task has ended: to wait for without raising, to select.

        Example:
            >>> async def main():
            ...     task = gopark.spawn(gopark.time.sleep, 0.001)
            ...     late = gopark.time.after(60)
            ...     index, _, _ = await gopark.select(gopark.recv(task.ended()), gopark.recv(late))
            ...     print(index)
            >>> gopark.run(main)
            0

        Go: none.
        """
        ch = _Ended()
        self._call(lambda _: shut(ch))
        return ch

    def __await__(self) -> Generator[Any, Any, T]:
        return self._wait().__await__()

    async def _wait(self) -> T:
        if self._state not in ENDED:
            g = getg()
            if g is not None and self._g is g and self._goid == g.goid:
                raise RuntimeError(f"{shown(self)} awaits itself, which would never end")
            await self.ended().recv()
        return self.result()

    def cancel(self, cause: BaseException | None = None) -> bool:
        """End it at its wait: that raises `ScopeEnded`, and so does each further one.

        What it has to wait for while it cleans up it does in a `context.shield()`. One that does
        not wait, or that keeps the exception to itself, goes on. Who awaits the task gets
        `context.Canceled`. May be called from anywhere, and again.

        Args:
            cause: The `__cause__` of that error. The first call counts.
        Returns:
            False if it had ended before.
        Raises:
            TypeError: `cause` is no exception.
        Example:
            >>> async def main():
            ...     task = gopark.spawn(gopark.Chan().recv)
            ...     task.cancel()
            ...     try:
            ...         await task
            ...     except gopark.context.Canceled as exc:
            ...         print(exc)
            >>> gopark.run(main)
            task Chan.recv was cancelled

        Go: none; there it is told by a context.
        """
        if cause is not None and not isinstance(cause, BaseException):
            raise TypeError(f"cancel: the cause must be an exception or None, got {shown(cause)}")
        if self._state in ENDED:
            return False
        if cause is not None and not self._over:
            self._why = cause
        end(self)
        return True

    # --- the end --------------------------------------------------------------------------------

    def _call(self, fn: Callable[[Task[T]], object]) -> None:
        """Have that called once it has ended; by who ends it, so it must not wait or raise."""
        self._calls.append(fn)
        if self._state in ENDED:
            self._tell()

    def _tell(self) -> None:
        calls = self._calls
        while calls:
            try:
                fn = calls.pop()
            except IndexError:
                break
            fn(self)

    def _end(self, state: str) -> None:
        self._state = state
        if self._calls:
            self._tell()

    def _returned(self, value: T) -> None:
        self._value = value
        self._end(RETURNED)

    def _raised(self, exc: Exception) -> None:
        self._traceback = exc.__traceback__ = traceback_of(exc)  # ours, on it, holds the task
        self._err = exc
        self._end(RAISED)

    def _cancelled(self) -> None:
        self._end(CANCELLED)

    def _left(self, why: BaseException) -> None:
        self._end(LEFT)

    def _unbegun(self) -> None:
        """Its program has ended before it began."""
        self._left(ProgramEnded())


async def drive(task: Task[Any], coro: Coroutine[Any, Any, Any]) -> None:
    """The goroutine of a function that is an `async def`."""
    g: Any = tls.m.curg  # type: ignore[union-attr]
    task._goid = g.goid  # as _begin, in line
    task._outer = None
    task._g = g
    g.scope = task
    if task._over:
        begun(task)
    try:
        value = await coro
    except (Exception, ScopeEnded, *UNWOUND) as exc:
        if _failed(task, g, exc):
            raise
    else:
        g.scope = None  # as _over, in line
        try:
            task._armed.pop()
        except IndexError:
            settle(g)
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
        g = _begin(task)
        try:
            value = self.fn(*args, **kwargs)
        except (Exception, ScopeEnded, *UNWOUND) as exc:
            if _failed(task, g, exc):
                raise
        else:
            if isinstance(value, coroutines):  # a decorated `async def`: it goes on as it
                return drive(task, value)
            _over(task, g)
            task._returned(value)
        return None


def _begin(task: Task[Any]) -> G:
    """Scope._enter, for what is the outermost."""
    m = tls.m
    assert m is not None
    g = m.curg
    assert g is not None
    task._goid = g.goid
    task._outer = None
    task._g = g
    g.scope = task
    if task._over:
        begun(task)
    return g


def _failed(task: Task[Any], g: G, exc: BaseException) -> bool:
    """Its function has let this escape. True: it goes on, to the end of the goroutine."""
    _over(task, g)
    if isinstance(exc, UNWOUND):
        task._left(exc)
        return True
    if not isinstance(exc, ScopeEnded):
        task._raised(exc)  # type: ignore[arg-type]
    elif exc.scope is task:
        task._cancelled()
    else:
        return True
    return False


def _over(task: Task[Any], g: G) -> None:
    """The goroutine ends, and with it what was left open inside."""
    g.scope = None
    try:
        task._armed.pop()
    except IndexError:
        settle(g)


transparent.update((drive.__code__, Plain.__call__.__code__))


def _brief(err: BaseException | None) -> str:
    """An exception in one line, with where it was raised."""
    tb = None if err is None else err.__traceback__
    if err is None or tb is None:
        return shown(err)
    while tb.tb_next is not None:
        tb = tb.tb_next
    return f"{shown(err)}, raised at {tb.tb_frame.f_code.co_filename}:{tb.tb_lineno}"


# --- outside of a group -------------------------------------------------------------------------


class _Spawned(Task[T]):
    """One whose exception has to be asked for."""

    __slots__ = ("_asked",)

    def __init__(self, fn: object) -> None:
        super().__init__(fn)
        self._asked = False

    def _tellasked(self) -> None:
        self._asked = True

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if self._state is RAISED and not self._asked and not ending():
            err, self._err = self._err, None
            # Python's hook prints no causes: what it was has to stand in the text itself.
            raise RuntimeError(
                f"{shown(self)}: nobody has asked for its exception: await it, or call result(). "
                f"It was {_brief(err)}"
            ) from err


@overload
def spawn(fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Task[T]: ...


@overload
def spawn(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Task[T]: ...


def spawn(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task[Any]:
    """Start `fn(*args, **kwargs)` as a goroutine, as `go` does, and return its Task at once.

    An exception that the function raises is for who awaits the task, and does not end the program.
    If the task is dropped and nobody has asked for it, Python prints it as ignored. Several that
    belong together go into an `errgroup.Group`, whose block does not end before them.

    Args:
        fn: An `async def`, or a plain function, which has a thread until it returns.
        args, kwargs: What it is called with.
    Raises:
        TypeError: `fn` cannot be called so; see `gopark.go`.
    Example:
        >>> async def main():
        ...     print(await gopark.spawn(len, "gopher"))
        >>> gopark.run(main)
        6

    Go: none; the `go` statement, and a channel for the result.
    """
    coro = startable("spawn", fn, args, kwargs)
    task: Task[Any] = _Spawned(fn)
    if coro is None:
        start(None, Plain(task, fn), args, kwargs, sys._getframe(1))
    else:
        start(Wrapped(coro, drive(task, coro), task._unbegun), fn, (), {}, sys._getframe(1))
    return task


def as_completed(tasks: Iterable[Task[T]]) -> Chan[Task[T]]:
    """A channel that gives each task when it has ended, and is closed after the last of them.

    To be looped over (`async for`, in plain code `for`), received from, or selected. Who leaves the
    loop early leaves the other tasks running.

    Args:
        tasks: What `spawn` or `Group.go` has returned; all of them at once.
    Raises:
        TypeError: one is no Task.
    Example:
        >>> async def main():
        ...     tasks = [gopark.spawn(gopark.time.sleep, s) for s in (0.3, 0.001)]
        ...     async for task in gopark.as_completed(tasks):
        ...         print(tasks.index(task))
        >>> gopark.run(main)
        1
        0

    Go: none; there the goroutines send to one channel.
    """
    try:
        listed = list(tasks)
    except TypeError:
        raise TypeError(
            f"as_completed() needs tasks, got {shown(tasks)}: a list of what gopark.spawn returns"
        ) from None
    for task in listed:
        if not isinstance(task, Task):
            raise TypeError(
                f"as_completed() needs tasks, got {shown(task)}: start it with gopark.spawn(fn, x)"
            )
    ch: _Completed[Task[T]] = _Completed(len(listed))
    left = [None] * len(listed)  # an item for each that has not come yet

    def ended(task: Task[T]) -> None:
        put(ch, task)
        left.pop()
        if not left:
            shut(ch)

    if not listed:
        shut(ch)
    for task in listed:
        task._call(ended)
    return ch


@overload
async def gather(a: Awaitable[T1], /) -> tuple[T1]: ...
@overload
async def gather(a: Awaitable[T1], b: Awaitable[T2], /) -> tuple[T1, T2]: ...
@overload
async def gather(a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], /) -> tuple[T1, T2, T3]: ...
@overload
async def gather(*awaitables: Awaitable[T]) -> tuple[T, ...]: ...


async def gather(*awaitables: Awaitable[Any]) -> tuple[Any, ...]:
    """Wait for several at once, and return their results in the order of the arguments.

    What is no Task yet is started as one. If one fails, or if the caller's own wait is ended, by a
    timeout, those that were started here are cancelled and waited for: no goroutine outlives the
    call. Tasks that were passed in go on.

    Args:
        awaitables: Tasks, coroutines, anything that could stand behind `await`.
    Raises:
        TypeError: one cannot be awaited.
        Canceled: a task was cancelled.
        Exception: what the first that has failed has raised.
    Example:
        >>> async def square(n):
        ...     return n * n
        >>> async def main():
        ...     print(await gopark.gather(square(2), square(3), gopark.spawn(square, 4)))
        >>> gopark.run(main)
        (4, 9, 16)

    Go: none; errgroup.Group.
    """
    for one in awaitables:
        if not isawaitable(one):
            raise TypeError(
                f"gather() needs tasks or awaitables, got {shown(one)}: gather(f(x)) with an "
                "`async def f`, or gather(spawn(f, x))"
            )
    own: list[Task[Any]] = []
    tasks = [one if isinstance(one, Task) else _started(one, own) for one in awaitables]
    try:
        async for task in as_completed(tasks):
            task.result()
    finally:
        for task in own:
            task.cancel()
        with shelter():
            for task in own:
                if not task.done:
                    await task.ended().recv()
    return tuple(task.result() for task in tasks)


def _started(awaitable: Awaitable[Any], own: list[Task[Any]]) -> Task[Any]:
    coro: Any = awaitable
    if type(awaitable) is not CoroutineType:
        coro = _awaited(awaitable)
    unawaited(coro)
    task: Task[Any] = Task(awaitable)
    start(Wrapped(coro, drive(task, coro), task._unbegun), _awaited, (), {}, sys._getframe(1))
    own.append(task)
    return task


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


transparent.add(_awaited.__code__)
