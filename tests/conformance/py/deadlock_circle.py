import gopark


async def fill(ch: gopark.Chan) -> None:
    for i in range(4):
        await ch.send(i)


async def left(a: gopark.Chan, b: gopark.Chan) -> None:
    await a.recv()
    await b.send(1)


async def right(a: gopark.Chan, b: gopark.Chan) -> None:
    await b.recv()
    await a.send(1)


async def ask(ch: gopark.Chan) -> int:
    return await wait(ch)


async def wait(ch: gopark.Chan) -> int:
    return await ch.recv()


async def main() -> None:
    full = gopark.Chan(2)
    a, b = gopark.Chan(), gopark.Chan(3)
    gopark.go(fill, full)
    gopark.go(left, a, b)
    gopark.go(right, a, b)
    print(await ask(gopark.Chan(1)))


gopark.run(main)
