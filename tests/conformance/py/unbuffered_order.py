import gopark

order: list[str] = []


def note(who: str, n: int) -> None:
    order.append(f"{who} {n}")


async def producer(ch: gopark.Chan) -> None:
    for n in range(5):
        note("sends", n)
        await ch.send(n)
        note("sent", n)
    ch.close()


async def forwarder(source: gopark.Chan, to: gopark.Chan) -> None:
    async for n in source:
        note("forwards", n)
        await to.send(n)
    to.close()


async def main() -> None:
    a, b = gopark.Chan(), gopark.Chan()
    gopark.go(producer, a)
    gopark.go(forwarder, a, b)
    async for n in b:
        note("got", n)
    for line in order:
        print(line)


gopark.run(main)
