import gopark


async def produce(ch: gopark.Chan, done: gopark.Chan) -> None:
    for i in range(3):
        await ch.send(i)
    await done.send(True)


async def main() -> None:
    ch, done = gopark.Chan(), gopark.Chan()
    gopark.go(produce, ch, done)
    async for v in ch:
        print(v)
    await done.recv()


gopark.run(main)
