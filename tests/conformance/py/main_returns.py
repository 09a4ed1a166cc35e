import gopark


async def waiter(ch: gopark.Chan) -> None:
    await ch.recv()
    print("not reached")


async def sleeper() -> None:
    await gopark.time.sleep(3600)
    print("not reached")


async def main() -> None:
    gopark.go(waiter, gopark.Chan())
    gopark.go(sleeper)
    await gopark.gosched()
    gopark.go(waiter, gopark.Chan())
    print(gopark.runtime.num_goroutine())


gopark.run(main)
