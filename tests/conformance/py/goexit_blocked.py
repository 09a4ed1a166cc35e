import gopark


async def waiter(ch: gopark.Chan) -> None:
    await ch.recv()


async def parent(ch: gopark.Chan) -> None:
    gopark.go(waiter, ch)


async def main() -> None:
    gopark.go(parent, gopark.Chan())
    gopark.goexit()


gopark.run(main)
