import gopark


async def main() -> None:
    await gopark.select()


gopark.run(main)
