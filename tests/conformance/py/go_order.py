import gopark

order: list[int] = []


async def worker(n: int, done: gopark.Chan) -> None:
    order.append(n)
    await done.send(True)


async def main() -> None:
    done = gopark.Chan(10)
    for n in range(10):
        gopark.go(worker, n, done)
    for _ in range(10):
        await done.recv()
    print("[" + " ".join(map(str, order)) + "]")


gopark.run(main)
