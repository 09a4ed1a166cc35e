import gopark

order: list[str] = []


async def worker(name: str, done: gopark.Chan) -> None:
    for n in range(4):
        order.append(f"{name}{n}")
        await gopark.gosched()
    await done.send(True)


async def main() -> None:
    done = gopark.Chan()
    for name in "a", "b", "c":
        gopark.go(worker, name, done)
    for _ in range(3):
        await done.recv()
    print("[" + " ".join(order) + "]")


gopark.run(main)
