import gopark


async def clean() -> None:
    raise RuntimeError("while leaving")


async def work() -> None:
    try:
        gopark.goexit()
    finally:
        await clean()


async def main() -> None:
    gopark.go(work)
    await gopark.select()


gopark.run(main)
