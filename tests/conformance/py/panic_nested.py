import gopark


async def three(n: int) -> None:
    if n > 2:
        raise LookupError(f"{n} is too many")


async def two(n: int) -> None:
    await three(n + 1)


async def one(n: int) -> None:
    await two(n + 1)


async def child() -> None:
    await one(1)


async def parent(ch: gopark.Chan) -> None:
    gopark.go(child)
    await ch.recv()


async def main() -> None:
    ch = gopark.Chan()
    gopark.go(parent, ch)
    await ch.recv()


gopark.run(main)
