"""Fetch from many places with one group: a limit, results by handle, the first error stops all.

The "servers" are goroutines; each answers after its delay. Run it:

    python examples/errgroup_fetch.py
"""

import gopark
from gopark import context, recv
from gopark.sync import errgroup, singleflight

DELAYS = {"alpha": 0.01, "beta": 0.03, "gamma": 0.02, "busy": 3600, "dead": 3600}  # seconds


class NotFoundError(Exception):
    """No such page."""


async def get(name: str) -> str:
    """Ask a server; gives up as soon as the group that it runs in has failed."""
    ctx = context.current()
    if name not in DELAYS:
        raise NotFoundError(f"no server named {name}")
    answer = gopark.time.after(DELAYS[name])
    index, _, _ = await gopark.select(recv(answer), recv(ctx.done()))
    if index == 1:
        print(f"  gave up on {name}: {context.cause(ctx)}")
        err = ctx.err()
        assert err is not None  # since it is done
        raise err
    return f"<page of {name}>"


async def fetch(names: list[str], limit: int) -> list[str]:
    """All pages in the order of their names, no more than `limit` at a time, or an error."""
    async with errgroup.Group(limit=limit) as g:
        tasks = [g.go(get, name) for name in names]
    return [task.result() for task in tasks]


async def main() -> None:
    print("all there:", *await fetch(["alpha", "beta", "gamma"], limit=2))

    print("one missing:")
    try:
        await fetch(["busy", "nowhere", "dead"], limit=3)
    except NotFoundError as err:
        print("  failed:", err)

    print("twenty ask for the same page at once:")
    flights = singleflight.Group()
    loads = 0

    async def load() -> str:
        nonlocal loads
        loads += 1
        await gopark.time.sleep(0.1)
        return await get("alpha")

    async with errgroup.Group() as g:
        tasks = [g.go(flights.do, "alpha", load) for _ in range(20)]
    pages = {page for page, _shared in (task.result() for task in tasks)}
    print(f"  {pages.pop()} was loaded {loads} time")


gopark.run(main)
