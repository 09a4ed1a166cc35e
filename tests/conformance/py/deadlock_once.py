import gopark
from gopark import sync

once = sync.Once()


async def nothing() -> None:
    pass


async def again() -> None:
    await once.do(nothing)


async def main() -> None:
    await once.do(again)


gopark.run(main)
