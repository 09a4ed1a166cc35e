import gopark


async def worker() -> None:
    await gopark.time.sleep(0.001)
    print("worked")


async def main() -> None:
    try:
        gopark.go(worker)
        gopark.goexit()
    finally:
        print("deferred")


gopark.run(main)
