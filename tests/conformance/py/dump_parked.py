import gopark


async def receiver(ch: gopark.Chan) -> None:
    await ch.recv()


async def sender(ch: gopark.Chan) -> None:
    await ch.send(1)


async def selecter(a: gopark.Chan, b: gopark.Chan) -> None:
    await gopark.select(gopark.recv(a), gopark.send(b, 1))


async def nobody() -> None:
    await gopark.select()


async def sleeper() -> None:
    await gopark.time.sleep(3600)


async def inner(ch: gopark.Chan) -> None:
    await ch.recv()


async def middle(ch: gopark.Chan) -> None:
    await inner(ch)


async def outer(ch: gopark.Chan) -> None:
    await middle(ch)


async def dump() -> None:
    print(gopark.runtime.stack(all=True), end="")


async def main() -> None:
    gopark.go(receiver, gopark.Chan())
    gopark.go(sender, gopark.Chan())
    gopark.go(selecter, gopark.Chan(), gopark.Chan())
    gopark.go(nobody)
    gopark.go(sleeper)
    gopark.go(outer, gopark.Chan())
    await gopark.testing.wait_all_parked()
    gopark.go(nobody)
    await dump()


gopark.run(main)
