"""`gopark worker`: serves a work queue with the functions of a module, until it is told to end.

SIGTERM and Ctrl-C end it in good order: what has begun is done, what lies ready is given back. A
second Ctrl-C ends it at once, and what it had comes to others when the leases are over.

Progress goes to stderr: on a terminal one line that is written anew, else a line now and then, if
something was done.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import gopark
from gopark import context, workqueue
from gopark._cmd._failed import Failed
from gopark._runtime.base.printstring import oneline
from gopark.workqueue._calls import allowed
from gopark.workqueue._serve import Tally, Worker

__all__ = ("run",)

_LIVE: Final = 0.25  # seconds between two looks on a terminal
_WIDTH: Final = 24


def run(options: argparse.Namespace) -> int:
    """The command."""
    sys.path.insert(0, os.getcwd())
    module = _module(options.module)
    try:
        functions = allowed([module])
    except ValueError:
        raise Failed(f"{options.module} has no public functions that could be called") from None
    try:
        gopark.run(_main, options, functions)
    except (workqueue.Unavailable, workqueue.Mismatch, ValueError) as exc:
        raise Failed(oneline(str(exc))) from exc
    return 0


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
            raise
        raise Failed(
            f"there is no module {name!r}, seen from {os.getcwd()}: give it as Python imports it, "
            "package.module"
        ) from None


async def _main(options: argparse.Namespace, functions: dict[str, Callable[..., Any]]) -> None:
    with gopark.signal.notify_context(context.background(), signal.SIGTERM, signal.SIGINT) as ctx:
        async with await workqueue.open(
            options.queue, options.url, prefetch=max(1, options.limit // 4)
        ) as q:
            worker = Worker(q, functions, options.limit)
            over: gopark.Chan[None] = gopark.Chan()
            shows = gopark.spawn(_show, worker.tally, q, over, options)
            print(f"serving {q.name} with {len(functions)} functions", file=sys.stderr, flush=True)
            try:
                await worker.run(ctx)
            finally:
                over.close()
                await shows.ended().recv()


async def _show(
    tally: Tally, q: workqueue.Queue[object], over: gopark.Chan[None], options: argparse.Namespace
) -> None:
    live = sys.stderr.isatty()
    last = ""
    while True:
        late = gopark.time.after(_LIVE if live else options.every)
        ended = (await gopark.select(gopark.recv(over), gopark.recv(late)))[0] == 0
        try:
            waiting = 0 if ended else (await q.stats()).waiting
        except (OSError, RuntimeError):
            waiting = 0
        text = _bar(tally, waiting) if live else _counts(tally, waiting)
        if live:
            sys.stderr.write(f"\r{text}\x1b[K" + ("\n" if ended else ""))
        elif text != last and (ended or tally.done):
            sys.stderr.write(text + "\n")
        sys.stderr.flush()
        last = text
        if ended:
            return


def _counts(tally: Tally, waiting: int) -> str:
    text = f"{tally.done} done, {tally.failed} failed, {tally.running} running, {waiting} waiting"
    return text + (f", {tally.skipped} skipped" if tally.skipped else "")


def _bar(tally: Tally, waiting: int) -> str:
    """How much of what is known of is done."""
    whole = tally.done + tally.running + waiting
    full = _WIDTH * tally.done // whole if whole else 0
    return f"[{'#' * full}{'.' * (_WIDTH - full)}] {_counts(tally, waiting)}"
