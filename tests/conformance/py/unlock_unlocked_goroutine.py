import gopark
from gopark import sync
from gopark.testing import wait_all_parked


async def release(mu: sync.Mutex) -> None:
    mu.unlock()


async def work(mu: sync.Mutex) -> None:
    async with mu:
        pass
    await release(mu)


async def wait(ch: gopark.Chan) -> None:
    await ch.recv()


async def main() -> None:
    mu = sync.Mutex()
    ch = gopark.Chan()
    gopark.go(wait, ch)
    await wait_all_parked()
    gopark.go(work, mu)
    await wait(ch)


gopark.run(main)
