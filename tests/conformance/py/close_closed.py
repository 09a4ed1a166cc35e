import gopark


async def closer(ch: gopark.Chan) -> None:
    ch.close()
    ch.close()


async def main() -> None:
    gopark.go(closer, gopark.Chan())
    await gopark.select()


gopark.run(main)
