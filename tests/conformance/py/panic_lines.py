import gopark


def inner() -> None:
    raise ValueError("first line\nsecond line\n\tthird line")


async def middle() -> None:
    inner()


async def outer() -> None:
    await middle()


async def main() -> None:
    gopark.go(outer)
    await gopark.select()


gopark.run(main)
