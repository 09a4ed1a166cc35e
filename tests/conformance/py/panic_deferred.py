import gopark


async def clean() -> None:
    print("cleaning up")
    raise RuntimeError("the cleaning failed")


async def work() -> None:
    try:
        print("working")
    finally:
        await clean()


async def main() -> None:
    gopark.go(work)
    await gopark.select()


gopark.run(main)
