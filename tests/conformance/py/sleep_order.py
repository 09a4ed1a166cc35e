import gopark
from gopark.time import sleep


async def main() -> None:
    out = gopark.Chan()

    async def sleeper(n: int) -> None:
        await sleep(n * 0.020)
        await out.send(n)

    for n in (5, 1, 4, 2, 3):
        gopark.go(sleeper, n)
    for _ in range(5):
        print(await out.recv())
    await sleep(0)
    await sleep(-3600)
    print("no wait at all")


gopark.run(main)
