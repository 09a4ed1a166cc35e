"""`gopark workqueue`: looks at work queues, and after their dead letters."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from typing import Any, Final

import gopark
from gopark import workqueue
from gopark._cmd._failed import Failed
from gopark._runtime.base.printstring import oneline
from gopark.workqueue._backend import THERE
from gopark.workqueue._codec import raw
from gopark.workqueue._list import names_at
from gopark.workqueue._queue import opened

__all__ = ("run",)

_SHOWN: Final = 60  # characters of a value


def run(options: argparse.Namespace) -> int:
    """The command."""
    try:
        gopark.run(_DOES[options.what], options)
    except (workqueue.Unavailable, workqueue.Mismatch, ValueError) as exc:
        raise Failed(oneline(str(exc))) from exc
    return 0


async def _open(options: argparse.Namespace, name: str) -> workqueue.Queue[Any]:
    # Values are looked at as bytes: a command that unpickles would run what it shows.
    return await opened(name, options.url, {}, raw, 600.0, 1, False, {}, THERE)


async def _ls(options: argparse.Namespace) -> None:
    names = await names_at(options.url)
    print(f"{'QUEUE':32} {'WAITING':>9} {'LEASED':>9} {'DEAD':>9}  STATE")
    for name in names:
        try:
            async with await _open(options, name) as q:
                stats = await q.stats()
        except workqueue.Unavailable:
            continue  # it has gone meanwhile
        state = "closed" if stats.closed else "open"
        print(f"{name:32} {stats.waiting:9} {stats.leased:9} {stats.dead:9}  {state}")


async def _show(options: argparse.Namespace) -> None:
    async with await _open(options, options.name) as q:
        stats = await q.stats()
        print(
            f"{options.name} at {options.url}: {'closed' if stats.closed else 'open'}\n"
            f"  {stats.waiting} waiting, {stats.leased} leased, {stats.dead} dead\n"
            f"  cap {stats.cap}, lease {stats.lease:g} s, tries {stats.tries}, codec {stats.codec}"
        )
        n = 0
        async for letter in q.dead:
            text = letter.payload[: 4 * _SHOWN].decode(errors="replace")
            text = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
            print(f"  dead {letter._seq}, {letter.tries} tries, {oneline(letter.why)}")
            print(f"    {oneline(text)}")
            n += 1
            if n == options.most:
                print(f"  and {stats.dead - n} more") if stats.dead > n else None
                break


async def _purge(options: argparse.Namespace) -> None:
    async with await _open(options, options.name) as q:
        n = await q.purge(dead=options.dead)
        print(f"{n} {'dead letters' if options.dead else 'values'} of {options.name} are forgotten")


async def _requeue(options: argparse.Namespace) -> None:
    numbers = set(options.number)
    async with await _open(options, options.name) as q:
        n = 0
        async for letter in q.dead:
            if (not options.number or letter._seq in numbers) and await letter.requeue():
                numbers.discard(letter._seq)
                n += 1
        print(f"{n} dead letters of {options.name} wait again")
    if numbers:
        raise Failed(f"there is no dead letter {min(numbers)} in {options.name}")


_DOES: Final[dict[str, Callable[[argparse.Namespace], Awaitable[None]]]] = {
    "ls": _ls,
    "show": _show,
    "purge": _purge,
    "requeue": _requeue,
}
