import gopark
from gopark.time import Timer


async def wait(t: Timer) -> None:
    await t.c.recv()


async def main() -> None:
    t = Timer(3600)
    t.stop()
    await wait(t)


gopark.run(main)
