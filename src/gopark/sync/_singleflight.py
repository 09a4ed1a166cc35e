"""Group: calls for the same key at the same time become one call.

The first caller of a key makes the call, in its own goroutine; those that come while it runs
wait on the call's channel and get what it brought. The call leaves the map before anybody is
told, so who comes later calls anew.

How a call can end, and what others get:
  it returns               the value
  it raises an Exception   the same error, each as an object of its own (_again.py)
  it ends by Goexit        they end likewise; a channel of `do_chan` is closed without a value
  it is broken off         (Ctrl-C, sys.exit, the end of the program) a RuntimeError that says so

Locks: `_lock`, rank SEMA, guards `_calls` and what others add to a call; channels are closed
and sent on after it is released.
Source: golang.org/x/sync/singleflight. Tests: tests/sync/test_singleflight.py
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from inspect import isawaitable
from types import FrameType, TracebackType
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar, overload

from gopark._runtime.base.errors import Goexit, ProgramEnded
from gopark._runtime.base.lockrank import Holding, Rank, Regaining, mkmutex
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.suspend import unawaited
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.recvonly import RecvOnly, put, shut
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.lockedm import block
from gopark._runtime.sched.newproc import Watched, Wrapped, isasync, start
from gopark._runtime.sched.panic import goexit
from gopark.sync._again import copied, mine, raise_again, traceback_of
from gopark.sync._common import checked, nocopy

__all__ = ("Group", "Result")

P = ParamSpec("P")
T = TypeVar("T")


class Result(NamedTuple, Generic[T]):
    """What `do_chan` sends: the value or the error, and whether others got it as well.

    Example:
        >>> gopark.sync.singleflight.Result(42, None, False).value
        42

    Go: singleflight.Result, of golang.org/x/sync.
    """

    value: T | None
    err: Exception | None
    shared: bool


class _ResultChan(RecvOnly[Result[Any]]):
    """What `do_chan` returns. Go: `<-chan Result`."""

    __slots__ = ()

    what = "the channel of a call"
    instead = "the call sends its result"


class _Call:
    """One call that runs, or has run."""

    __slots__ = (
        "broken",
        "chans",
        "done",
        "dups",
        "err",
        "left",
        "model",
        "over",
        "traceback",
        "value",
    )

    def __init__(self) -> None:
        self.done: Chan[None] = Chan()  # closed when the rest is there
        self.value: Any = None
        self.err: Exception | None = None
        self.traceback: TracebackType | None = None  # of `err`, as it was when it came
        self.model: BaseException | None = None  # what copies of `err` are made after
        self.broken: BaseException | None = None
        self.left = False  # by Goexit
        self.over = False  # guarded by the group's lock
        self.dups = 0  # who waits beside the first; guarded by the group's lock, as is `chans`
        self.chans: list[_ResultChan] = []


class Group:
    """A set of calls by key, each of which runs once at a time, however many ask for it.

    Example:
        >>> async def fetch(name):
        ...     await gopark.time.sleep(0.01)
        ...     return f"the page {name}"
        >>> async def main():
        ...     group = gopark.sync.singleflight.Group()
        ...     print(await group.do("a", fetch, "a"))
        >>> gopark.run(main)
        ('the page a', False)

    Go: singleflight.Group, of golang.org/x/sync.
    """

    __slots__ = ("__weakref__", "_calls", "_lock")

    def __init__(self) -> None:
        self._lock = mkmutex(Rank.SEMA)
        self._calls: dict[Hashable, _Call] = {}

    def __repr__(self) -> str:
        return f"<singleflight.Group {len(self._calls)} running at {id(self):#x}>"

    __reduce_ex__ = nocopy

    @overload
    async def do(
        self, key: Hashable, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[T, bool]: ...

    @overload
    async def do(
        self, key: Hashable, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[T, bool]: ...

    async def do(
        self, key: Hashable, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> tuple[Any, bool]:
        """Call `fn(*args, **kwargs)`, or wait for the call that runs for this key already.

        Args:
            key: What the call is for; anything hashable.
            fn: An `async def` or a plain function. It runs in the goroutine that asks first.
            args, kwargs: What it is called with.
        Returns:
            `(value, shared)`: what the call returned, and whether more than one got it.
        Raises:
            TypeError: `fn` is not callable so, or `key` cannot be hashed.
            RuntimeError: the call was broken off, as by Ctrl-C in the goroutine that ran it.
            Goexit: the call ended so, and with it all who waited for it.
        Example:
            >>> async def main():
            ...     group = gopark.sync.singleflight.Group()
            ...     print(await group.do("answer", lambda: 42))
            >>> gopark.run(main)
            (42, False)

        Go: singleflight.Group.Do. Differs: an error is raised, in each caller its own copy.
        """
        checked("do", fn, args, kwargs)
        call, first = self._join("do", key)
        if first:
            shared = await self._run(key, call, fn, args, kwargs)
            if call.err is not None:
                raise_again(call.err, call.traceback)
            return call.value, shared
        await call.done.recv()
        if call.left:
            goexit()
        if call.broken is not None:
            raise _brokenoff(key, call.broken)
        if call.model is not None:
            raise_again(mine(call.model, call.traceback), call.traceback)
        return call.value, True

    @overload
    def do_chan(
        self, key: Hashable, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Chan[Result[T]]: ...

    @overload
    def do_chan(
        self, key: Hashable, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Chan[Result[T]]: ...

    def do_chan(
        self, key: Hashable, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Chan[Result[Any]]:
        """As `do`, but at once: a channel that gets the result, to be waited for in a `select`.

        Args:
            key: What the call is for; anything hashable.
            fn: An `async def` or a plain function. If no call runs for the key, it runs in a
                goroutine of its own.
            args, kwargs: What it is called with.
        Returns:
            A channel that gets one `Result`. It is closed without one if the call ends by Goexit.
        Raises:
            TypeError: `fn` is not callable so, or `key` cannot be hashed.
        Example:
            >>> async def main():
            ...     group = gopark.sync.singleflight.Group()
            ...     result = await group.do_chan("answer", lambda: 42).recv()
            ...     print(result)
            >>> gopark.run(main)
            Result(value=42, err=None, shared=False)

        Go: singleflight.Group.DoChan.
        """
        checked("do_chan", fn, args, kwargs)
        ch = _ResultChan(1)
        call, first = self._join("do_chan", key, ch)
        if first:
            self._start(sys._getframe(), key, call, fn, args, kwargs)
        return ch

    def forget(self, key: Hashable) -> None:
        """The next `do` for this key calls anew, even while a call for it runs.

        Args:
            key: What the call is for.
        Raises:
            TypeError: it cannot be hashed.
        Example:
            >>> gopark.sync.singleflight.Group().forget("answer")

        Go: singleflight.Group.Forget.
        """
        _hashed("forget", key)
        with Holding(self._lock):
            self._calls.pop(key, None)

    # --- the call ----------------------------------------------------------------------------

    def _join(self, who: str, key: Hashable, ch: _ResultChan | None = None) -> tuple[_Call, bool]:
        """The call for this key; True: it is new, and the caller has to make it."""
        _hashed(who, key)  # the user's code, and it may fail: not under the lock
        new = _Call()
        with Holding(self._lock):
            call = self._calls.setdefault(key, new)
            if call.over:  # it could not be taken out, see _end
                call = self._calls[key] = new
            if call is not new:
                call.dups += 1
            if ch is not None:
                call.chans.append(ch)
        return call, call is new

    async def _run(
        self, key: Hashable, call: _Call, fn: Callable[..., Any], args: Any, kwargs: Any
    ) -> bool:
        """Make the call and tell all who wait for it; whether there are any."""
        outer = sys.exception()
        try:
            value = fn(*args, **kwargs)
            call.value = await value if isawaitable(value) else value
        except Exception as exc:
            call.traceback = traceback_of(exc)
            call.err = exc
            call.model = copied(exc, frames=True, outer=outer)
        except Goexit:
            call.left = True
            raise
        except BaseException as exc:
            call.broken = exc
            raise
        finally:
            del outer
            shared = self._end(key, call)
        return shared

    def _start(self, frame: FrameType, key: Hashable, call: _Call, *what: Any) -> None:
        """Make the call in a goroutine of its own. If that never begins, nobody waits for it."""
        unbegun = partial(self._unbegun, key, call)
        try:
            if isasync(what[0]):
                coro = self._apart(key, call, *what)
                unawaited(coro)
                start(Wrapped(coro, coro, unbegun), self._apart, (), {}, frame)
            else:
                apart = _Apart(self._apart_plain, unbegun)
                start(None, apart, (key, call, *what), {}, frame)
        except BaseException as exc:
            call.broken = exc
            self._end(key, call)
            raise

    def _unbegun(self, key: Hashable, call: _Call) -> None:
        call.broken = ProgramEnded()
        self._end(key, call)

    async def _apart(self, *call: Any) -> None:
        await self._run(*call)

    def _apart_plain(self, *call: Any) -> None:
        block(self._run(*call))

    def _end(self, key: Hashable, call: _Call) -> bool:
        try:
            with Regaining(self._lock):
                call.over = True
                shared = call.dups > 0
                if self._calls.get(key) is call:  # else it has been forgotten
                    del self._calls[key]
        finally:  # a key whose `__eq__` fails: who waits is told all the same
            call.done.close()
            for ch in call.chans:  # nobody can join it any more
                if call.left:
                    shut(ch)
                else:
                    put(ch, _result(key, call, shared))
        return shared


class _Apart(Watched):
    """A call in a plain goroutine."""

    __slots__ = ("fn", "tell")

    def __init__(self, fn: Callable[..., None], tell: Callable[[], None]) -> None:
        self.fn = fn
        self.tell = tell

    def unbegun(self) -> None:
        self.tell()

    def __call__(self, *args: Any) -> None:
        self.fn(*args)


def _result(key: Hashable, call: _Call, shared: bool) -> Result[Any]:
    if call.broken is not None:
        return Result(None, _brokenoff(key, call.broken), shared)
    err: Any = call.err
    if shared and call.model is not None:
        err = copied(call.model, frames=True).with_traceback(call.traceback)
    return Result(call.value, err, shared)


def _brokenoff(key: Hashable, exc: BaseException) -> RuntimeError:
    err = RuntimeError(f"singleflight: the call for {shown(key)} was broken off by {shown(exc)}")
    err.__cause__ = exc
    return err


transparent.update(  # Ctrl-C may reach `fn` below them, and it may wait
    one.__code__
    for one in (Group.do, Group._run, Group._apart, Group._apart_plain, _Apart.__call__)
)


def _hashed(who: str, key: object) -> None:
    try:
        hash(key)
    except TypeError as exc:
        raise TypeError(f"{who}() needs a hashable key, got {shown(key)}: {exc}") from None
