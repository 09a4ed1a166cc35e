import gopark


async def waits(ch: gopark.Chan) -> None:
    await ch.recv()


async def inner(ch: gopark.Chan) -> None:
    await gopark.select(gopark.send(ch, 1), gopark.recv(gopark.Chan()))


async def outer(ch: gopark.Chan) -> None:
    await inner(ch)


async def fails(start: gopark.Chan) -> None:
    await start.recv()
    raise ValueError("oops")


async def main() -> None:
    gopark.debug.set_traceback("all")
    start = gopark.Chan()
    gopark.go(waits, gopark.Chan())
    gopark.go(fails, start)
    gopark.go(outer, gopark.Chan())
    await start.send(1)
    await waits(gopark.Chan())


gopark.run(main)
