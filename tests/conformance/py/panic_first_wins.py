import gopark


async def fail(name: str) -> None:
    print(name)
    raise ValueError(name)


async def main() -> None:
    gopark.go(fail, "second")  # the goroutine started last runs first
    gopark.go(fail, "first")
    await gopark.select()


gopark.run(main)
