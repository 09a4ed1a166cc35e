import gopark

running = most = 0


async def work(slots: gopark.Chan, done: gopark.Chan, i: int) -> None:
    global running, most
    await slots.send(True)
    running += 1
    most = max(most, running)
    for _ in range(5):
        await gopark.gosched()
    running -= 1
    await slots.recv()
    await done.send(i)


async def main() -> None:
    slots, done = gopark.Chan(3), gopark.Chan()
    for i in range(12):
        gopark.go(work, slots, done, i)
    total = 0
    for _ in range(12):
        total += await done.recv()
    print("most at once", most)
    print("sum", total, "left", running, len(slots))


gopark.run(main)
