import gopark
from gopark import sync


async def finish(wg: sync.WaitGroup) -> None:
    try:
        wg.done()
    except RuntimeError as exc:
        print("recovered:", exc)


async def add(wg: sync.WaitGroup) -> None:
    wg.add(-2)


async def main() -> None:
    wg = sync.WaitGroup()
    await finish(wg)
    wg = sync.WaitGroup()
    wg.add(1)
    gopark.go(add, wg)
    await gopark.select()


gopark.run(main)
