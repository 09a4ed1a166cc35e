from time import monotonic

import gopark
from gopark.time import sleep


async def main() -> None:
    out = gopark.Chan()

    async def sleeper(n: int) -> None:
        d = n * 0.003
        began = monotonic()
        await sleep(d)
        await out.send(f"{n} {str(monotonic() - began >= d).lower()}")

    for n in (5, 1, 4, 2, 3):
        gopark.go(sleeper, n)
    for line in sorted([await out.recv() for _ in range(5)]):
        print(line)
    await sleep(0)
    await sleep(-3600)
    print("no wait at all")


gopark.run(main)
