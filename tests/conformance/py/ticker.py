from time import monotonic

import gopark
from gopark.time import Ticker, sleep


def yes(value: bool) -> str:
    return str(value).lower()


def received(ch: gopark.Chan) -> str:
    _, _, got = ch.try_recv()
    return yes(got)


async def main() -> None:
    start = monotonic()
    t = Ticker(0.002)
    for _ in range(5):
        await t.c.recv()
    print("not before", yes(monotonic() - start >= 0.010))

    await sleep(0.020)
    print("kept", received(t.c))

    t.reset(3600)
    print("after reset", received(t.c))
    t.reset(0.001)
    await t.c.recv()
    t.stop()
    await sleep(0.003)
    print("after stop", received(t.c))
    t.reset(0.001)
    await t.c.recv()
    print("started again")
    t.stop()

    for d in (0, -1e-9):
        try:
            Ticker(d)
        except ValueError as exc:
            print("recovered:", exc)


gopark.run(main)
