import gopark


async def sender(ch: gopark.Chan) -> None:
    await ch.send(1)


async def main() -> None:
    ch = gopark.Chan()
    gopark.go(sender, ch)
    await gopark.gosched()
    ch.close()
    await gopark.select()


gopark.run(main)
