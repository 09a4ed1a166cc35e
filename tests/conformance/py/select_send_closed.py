import gopark


async def selecter(a: gopark.Chan, b: gopark.Chan) -> None:
    b.close()
    await gopark.select(gopark.recv(a), gopark.send(b, 1))


async def main() -> None:
    gopark.go(selecter, gopark.Chan(), gopark.Chan())
    await gopark.select()


gopark.run(main)
