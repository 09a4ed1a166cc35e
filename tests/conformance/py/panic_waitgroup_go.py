import gopark
from gopark import sync


async def work() -> None:
    raise ValueError("in the group")


async def main() -> None:
    wg = sync.WaitGroup()
    wg.go(work)
    await wg.wait()


gopark.run(main)
