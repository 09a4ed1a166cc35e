"""A server that ends in good order: no new work after the signal, what was begun is finished.

Ctrl-C or SIGTERM ends the context. The listener stops taking orders, the workers finish theirs,
and the program exits with the status that a shell gives for the signal. A second Ctrl-C while
it shuts down changes nothing. With an argument the program sends itself the signal.

    python examples/graceful_shutdown.py             then Ctrl-C
    python examples/graceful_shutdown.py SIGTERM
"""

from __future__ import annotations

import os
import signal
import sys

import gopark
from gopark import Chan, recv, select, send
from gopark import time as gotime
from gopark.context import Context, background, cause
from gopark.signal import notify_context

WORKERS = 3


async def listen(ctx: Context, orders: Chan[int]) -> None:
    """Take orders until the context ends; closing the channel sends the workers home."""
    number = 0
    while True:
        index, _, _ = await select(recv(ctx.done()), send(orders, number))
        if index == 0:
            orders.close()
            return
        number += 1


async def work(orders: Chan[int], done: Chan[int]) -> None:
    """Each order takes its time, whatever happens meanwhile."""
    count = 0
    async for _ in orders:
        await gotime.sleep(0.01)
        count += 1
    await done.send(count)


async def main() -> int:
    orders, done = Chan[int](), Chan[int]()
    with notify_context(background(), signal.SIGINT, signal.SIGTERM) as ctx:
        gopark.go(listen, ctx, orders)
        for _ in range(WORKERS):
            gopark.go(work, orders, done)
        print("the shop is open", flush=True)
        if len(sys.argv) > 1:
            gotime.after_func(0.1, os.kill, os.getpid(), signal.Signals[sys.argv[1]])

        await select(recv(ctx.done()))
        why = cause(ctx)
        print("closing:", why, flush=True)
        finished = [await done.recv() or 0 for _ in range(WORKERS)]
    print("all orders that were taken are finished:", min(finished) > 0)
    return 128 + int(getattr(why, "signal", 0))


if __name__ == "__main__":
    sys.exit(gopark.run(main))
