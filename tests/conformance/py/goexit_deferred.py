import gopark


async def inner(done: gopark.Chan) -> None:
    try:
        gopark.goexit()
    finally:
        await done.send("inner")


async def outer(done: gopark.Chan) -> None:
    try:
        await inner(done)
        await done.send("not reached")
    finally:
        await done.send("outer")
        done.close()


async def main() -> None:
    done = gopark.Chan()
    gopark.go(outer, done)
    async for what in done:
        print(what)


gopark.run(main)
