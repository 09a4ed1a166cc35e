import gopark


async def sender(ch: gopark.Chan) -> None:
    ch.close()
    await ch.send(1)


async def parent(ch: gopark.Chan) -> None:
    gopark.go(sender, ch)


async def main() -> None:
    gopark.go(parent, gopark.Chan())
    await gopark.select()


gopark.run(main)
