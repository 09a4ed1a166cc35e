import gopark
from gopark import sync


async def wait(ch: gopark.Chan) -> None:
    await ch.recv()


async def release(mu: sync.RWMutex) -> None:
    try:
        mu.runlock()
    except Exception as exc:
        print("recovered", exc)


async def main() -> None:
    gopark.go(wait, gopark.Chan())
    mu = sync.RWMutex()
    await release(mu)


gopark.run(main)
