import gopark
from gopark.testing import wait_all_parked


async def deep(n: int, out: gopark.Chan) -> None:
    try:
        if n == 0:
            gopark.goexit()
        await deep(n - 1, out)
        await out.send("not reached")
    finally:
        await out.send(f"deferred {n}")


async def consumer(into: gopark.Chan, out: gopark.Chan) -> None:
    try:
        async for v in into:
            if v == 3:
                await deep(2, out)
            await out.send(f"value {v}")
        await out.send("not reached")
    finally:
        out.close()


async def main() -> None:
    into, out = gopark.Chan(5), gopark.Chan()
    for i in range(5):
        await into.send(i)
    gopark.go(consumer, into, out)
    async for line in out:
        print(line)
    print("left in the queue", len(into))
    await wait_all_parked()
    print("goroutines", gopark.runtime.num_goroutine())


gopark.run(main)
