import gopark


async def deeper(n: int) -> None:
    if n == 0:
        await gopark.Chan().recv()
    await deeper(n - 1)


async def main() -> None:
    await deeper(150)


gopark.run(main)
