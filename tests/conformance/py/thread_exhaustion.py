import gopark


async def locked() -> None:
    gopark.runtime.lock_os_thread()
    await gopark.select()


async def main() -> None:
    print(gopark.runtime.set_max_threads(30))
    print(gopark.runtime.set_max_threads(20))
    for _ in range(40):
        gopark.go(locked)
        await gopark.gosched()
    print("not reached")


gopark.run(main)
