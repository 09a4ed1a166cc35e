import gopark


async def main() -> None:
    a = b = None
    await gopark.select(gopark.recv(a), gopark.send(b, 1))


gopark.run(main)
