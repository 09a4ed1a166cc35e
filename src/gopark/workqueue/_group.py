"""Group: functions that run in workers, and are waited for here.

A group has a queue of its own for results, beside the one that calls go to. A worker acknowledges a
call when its result is stored there. When the group ends, by an error or well, that queue goes, and
whoever takes one of its calls after that does not begin it.

Source: none; as sync/_errgroup.py, for functions elsewhere. Tests: tests/workqueue/test_group.py
"""

from __future__ import annotations

import secrets
from types import TracebackType
from typing import Any, Final

from gopark._oneshot import OneShot
from gopark._runtime.base.errors import nocopy
from gopark._runtime.base.printstring import shown
from gopark._tasks import Task, spawn
from gopark._util import integer
from gopark.context import Context, shield
from gopark.sync.errgroup import Group as ErrGroup
from gopark.workqueue import _leftovers
from gopark.workqueue._backend import MAKE
from gopark.workqueue._calls import name_of
from gopark.workqueue._errors import Lost, RemoteError
from gopark.workqueue._leftovers import results_name
from gopark.workqueue._queue import Queue, opened

__all__ = ("Group",)

_ROOM: Final = 1_000_000  # results that may lie there


class Group:
    """Functions that run in workers: `async with Group(q) as g: t = g.go("module:fn", *args)`.

    The block ends when all have a result. The first error is raised there, as a RemoteError with
    the worker's traceback, and ends the group: what no worker has begun is not run any more. A
    function may run twice, if its worker dies; its first result counts.

    Args:
        q: The queue that workers serve: `gopark worker`, or `serve`.
        ctx: If it ends, so does the group; without it `context.current()`.
        limit: So many calls are out at a time.
    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: `limit` is not positive.
    Example:
        >>> async def main():
        ...     async with await gopark.workqueue.open("group-example") as q:
        ...         ctx, stop = gopark.context.with_cancel(gopark.context.background())
        ...         worker = gopark.spawn(gopark.workqueue.serve, ctx, q, pow)
        ...         async with gopark.workqueue.Group(q) as g:
        ...             tasks = [g.go(pow, n, 2) for n in range(3)]
        ...         print([task.result() for task in tasks])
        ...         stop()
        ...         await worker
        >>> gopark.run(main)
        [0, 1, 4]

    Go: none; errgroup.Group, of golang.org/x/sync.
    """

    __slots__ = (
        "_clearer",
        "_collector",
        "_group",
        "_last",
        "_limit",
        "_name",
        "_q",
        "_results",
        "_waiting",
    )
    __reduce_ex__ = nocopy

    def __init__(self, q: Queue[Any], ctx: Context | None = None, *, limit: int = 64) -> None:
        if not isinstance(q, Queue):
            raise TypeError(f"Group() needs a queue, got {shown(q)}: Group(await workqueue.open())")
        integer("Group", "limit", limit)
        if limit < 1:
            raise ValueError(f"Group: limit must be at least 1, got {shown(limit)}")
        self._q = q
        self._limit = limit
        self._group = ErrGroup(ctx, limit=limit, cancel=True)
        self._name = results_name(q.name, secrets.token_hex(8))
        self._results: Queue[Any] | None = None
        self._collector: Task[None] | None = None
        self._clearer: Task[None] | None = None
        self._waiting: dict[int, OneShot] = {}
        self._last = 0

    async def __aenter__(self) -> Group:
        q = self._q
        asked = {"cap": _ROOM, "lease": 30.0, "tries": 1000, "codec": q.codec.name}
        self._results = await opened(
            self._name, q.url, asked, q.codec, 600.0, self._limit, False, q._options, MAKE
        )
        self._collector = spawn(self._collect, self._results)
        self._clearer = spawn(self._clear, self._results)
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        results, collector, clearer = self._results, self._collector, self._clearer
        assert results is not None and collector is not None and clearer is not None
        try:
            await self._group.__aexit__(kind, exc, traceback)
        finally:
            with shield():
                for task in (collector, clearer):
                    task.cancel()
                    await task.ended().recv()
                try:
                    await results.close()
                    await results._destroy()
                except (OSError, RuntimeError):
                    pass  # the server is away: what it keeps is nobody's

    def go(self, fn: Any, /, *args: Any, **kwargs: Any) -> Task[Any]:
        """Have a worker call a function.

        Args:
            fn: `module:function`, as the worker knows it, or the function itself.
            args, kwargs: What it is called with; the queue's codec has to write them.
        Returns:
            A task: `await task`, or after the block `task.result()`, gives what it returned.
        Raises:
            TypeError: `fn` is no function.
            ValueError: it is a closure, or the like: it has no name.
            RuntimeError: the group's block has not begun, or is over.
        Example:
            >>> async def main():
            ...     async with await gopark.workqueue.open("go-example") as q:
            ...         gopark.workqueue.Group(q).go("math:sqrt", 2)
            >>> gopark.run(main)
            Traceback (most recent call last):
            ...
            RuntimeError: Group.go: use it in `async with Group(q) as g:`

        Go: Group.Go.
        """
        if self._results is None:
            raise RuntimeError("Group.go: use it in `async with Group(q) as g:`")
        return self._group.go(self._one, name_of(fn), args, kwargs)

    async def _one(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._last += 1
        task = self._last
        one = self._waiting[task] = OneShot("workqueue result")
        call = {
            "call": name,
            "args": list(args),
            "kwargs": kwargs,
            "task": task,
            "reply": self._name,
        }
        try:
            await self._q.send(call, id=f"{self._name}-{task}")
            return _result(name, await one.wait())
        finally:
            self._waiting.pop(task, None)

    async def _clear(self, results: Queue[Any]) -> None:
        """What groups before have left behind, whose process was killed."""
        try:
            await results._backend.clear(self._q.name, _leftovers.QUIET)
        except (OSError, RuntimeError):
            pass  # whoever comes next

    async def _collect(self, results: Queue[Any]) -> None:
        try:
            async for d in results:
                async with d as result:
                    one = self._waiting.get(result["task"])
                    if one is not None:
                        one.finish(result)
        except (OSError, RuntimeError) as exc:
            for one in list(self._waiting.values()):
                one.finish(None, exc)


def _result(name: str, result: dict[str, Any]) -> Any:
    if "error" in result:
        raise RemoteError(*result["error"])
    if "lost" in result:
        raise Lost(f"{name} has no result: {result['lost']}")
    return result["value"]
