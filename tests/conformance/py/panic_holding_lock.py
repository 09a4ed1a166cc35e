import gopark
from gopark import sync

mu = sync.Mutex()


async def careful() -> None:
    async with mu:
        raise ValueError("no good")


async def attempt() -> None:
    try:
        await careful()
    except ValueError as exc:
        print("recovered:", exc)


async def careless() -> None:
    await mu.lock()
    raise ValueError("with the lock in hand")


async def wait() -> None:
    await mu.lock()


async def main() -> None:
    await attempt()
    print("free", str(mu.try_lock()).lower())
    mu.unlock()
    gopark.go(careless)
    await gopark.select()


gopark.run(main)
