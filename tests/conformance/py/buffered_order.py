import gopark

order: list[str] = []


async def sender(ch: gopark.Chan, n: int) -> None:
    await ch.send(n)
    order.append(f"sent {n}")


async def receiver(ch: gopark.Chan, n: int) -> None:
    v, ok = await ch.recv_ok()
    # Go's zero value of an int, and its spelling of a bool
    order.append(f"receiver {n}: {v or 0} {str(ok).lower()}")


async def main() -> None:
    ch = gopark.Chan(2)
    for n in range(5):
        gopark.go(sender, ch, n)
        await gopark.gosched()
    print(len(ch), ch.cap)
    for _ in range(5):
        order.append(f"got {await ch.recv()}")
    await gopark.gosched()
    for n in range(4):
        gopark.go(receiver, ch, n)
        await gopark.gosched()
    await ch.send(10)
    await ch.send(11)
    ch.close()
    for _ in range(3):
        await gopark.gosched()
    for line in order:
        print(line)


gopark.run(main)
