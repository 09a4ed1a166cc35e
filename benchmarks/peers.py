"""Who stands beside gopark: where each is imported from, and how its program is started.

Nothing here imports a peer until a side needs it; what is missing is a reason to skip, in
words, and never an error. All peers are untyped on purpose (`need` gives `Any`): their
type hints differ between versions, and no checker has all of them installed.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import platform
import sys
from collections.abc import Awaitable, Callable, Coroutine
from importlib import metadata, util
from typing import Any

import gopark as gp
from benchmarks.measure import Figures, Measure, Sample, SkipWorkload, procs
from benchmarks.names import PEERS

__all__ = (
    "gil_is_off",
    "missing",
    "need",
    "on_asyncio",
    "on_gopark",
    "on_pyroutine",
    "on_tonio",
    "on_trio",
    "version",
)

Result = Sample | Figures


def gil_is_off() -> bool:
    """Whether threads run Python side by side, now, in this process."""
    gil: Callable[[], bool] | None = getattr(sys, "_is_gil_enabled", None)
    return gil is not None and not gil()


def missing(peer: str) -> str:
    """Why this interpreter cannot have that peer; empty if it can."""
    module, distribution = PEERS[peer]
    if peer == "Go":
        from benchmarks import golang

        return golang.missing()
    if util.find_spec(module) is not None:
        return ""
    if peer == "TonIO" and not gil_is_off():
        return "needs a free-threaded interpreter"
    if peer == "pyroutine-rt" and sys.version_info < (3, 14):
        return "needs Python 3.14"
    return f"{distribution} is not installed"


def version(peer: str) -> str:
    """For the record; only asked of what is there."""
    if peer == "gopark":
        return gp.__version__
    if peer == "Go":
        from benchmarks import golang

        return golang.version()
    distribution = PEERS[peer][1]
    return metadata.version(distribution) if distribution else platform.python_version()


def need(name: str) -> Any:
    """Import a peer's module, or skip."""
    try:
        return importlib.import_module(name)
    except ImportError as exc:
        raise SkipWorkload(f"cannot import {name}: {exc}") from None


# --- starting each one's program ----------------------------------------------------------------


def on_gopark(main: Callable[[int], Coroutine[Any, Any, Result]]) -> Measure:
    """`main` as the main goroutine, on as many Ps as the side is allowed."""

    def side(n: int) -> Result:
        gp.runtime.gomaxprocs(procs())
        return gp.run(main, n)

    return side


def on_asyncio(main: Callable[[int], Coroutine[Any, Any, Result]]) -> dict[str, Measure]:
    """The same program on asyncio's own event loop and on uvloop's."""

    def plain(n: int) -> Result:
        return asyncio.run(main(n))

    def uvloop(n: int) -> Result:
        result: Result = need("uvloop").run(main(n))
        return result

    return {"asyncio": plain, "uvloop": uvloop}


def on_trio(main: Callable[[Any, int], Awaitable[Result]]) -> Measure:
    def side(n: int) -> Result:
        trio = need("trio")
        result: Result = trio.run(main, trio, n)
        return result

    return side


def on_tonio(main: Callable[[Any, int], Any]) -> Measure:
    """`main` in the `await` notation or, as a generator, in the `yield` one.

    Without contextvars, which is TonIO's default and its fastest way. What `main` is given
    is `tonio.colored` or `tonio`, to fit its notation; submodules come with both.
    """
    notation = "tonio.colored" if inspect.iscoroutinefunction(main) else "tonio"

    def side(n: int) -> Result:
        if not gil_is_off():
            raise SkipWorkload("TonIO needs a free-threaded interpreter")
        tonio = need(notation)
        need(notation + ".sync.channel")
        runtime = tonio.runtime(threads=procs())
        result: Result = runtime.run_until_complete(main(tonio, n))
        return result

    return side


def on_pyroutine(main: Callable[[Any, int], Result]) -> Measure:
    """`main` as a task of its own: only there do waits park instead of blocking a thread."""

    def side(n: int) -> Result:
        pyroutine = need("pyroutine")
        pyroutine.set_max_procs(procs())
        result: Result = pyroutine.spawn(main, pyroutine, n).result()
        return result

    return side
