from time import monotonic

import gopark
from gopark.time import Timer, after_func, sleep


def yes(value: bool) -> str:
    return str(value).lower()


def received(ch: gopark.Chan) -> str:
    _, _, got = ch.try_recv()
    return yes(got)


async def main() -> None:
    t = Timer(3600)
    print("active", yes(t.reset(0.001)))
    await t.c.recv()
    print("taken", yes(t.reset(3600)), "received", received(t.c))
    print("stop", yes(t.stop()))
    print("stopped", yes(t.reset(0)))
    await sleep(0.002)
    print("due", yes(t.reset(3600)), "received", received(t.c))
    print("shortened", yes(t.reset(0.001)))
    await t.c.recv()

    # Resets in a row: one value, after the last.
    for _ in range(10):
        t.reset(0.001)
    start = monotonic()
    t.reset(0.005)
    await t.c.recv()
    print("not before", yes(monotonic() - start >= 0.005), "another", received(t.c))

    count = gopark.Chan(10)
    n = 0

    async def call() -> None:
        nonlocal n
        n += 1
        await count.send(n)

    f = after_func(3600, call)
    for _ in range(3):
        f.reset(0)
        print("call", await count.recv())


gopark.run(main)
