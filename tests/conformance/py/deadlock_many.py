import gopark


async def receiver(ch: gopark.Chan) -> None:
    await ch.recv()


async def sender(ch: gopark.Chan) -> None:
    await ch.send(1)


async def selecter(a: gopark.Chan, b: gopark.Chan) -> None:
    await gopark.select(gopark.recv(a), gopark.send(b, 1))


async def nobody() -> None:
    await gopark.select()


async def locked(ch: gopark.Chan) -> None:
    gopark.runtime.lock_os_thread()
    await ch.recv()


async def main() -> None:
    gopark.go(receiver, gopark.Chan())
    gopark.go(sender, gopark.Chan())
    gopark.go(selecter, gopark.Chan(), gopark.Chan())
    gopark.go(nobody)
    gopark.go(locked, gopark.Chan())
    await gopark.Chan().recv()


gopark.run(main)
