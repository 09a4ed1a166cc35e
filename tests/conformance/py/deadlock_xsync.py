import gopark
from gopark.sync import errgroup, semaphore
from gopark.testing import wait_all_parked

sem = semaphore.Weighted(2)


async def receive() -> None:
    await gopark.Chan().recv()


async def acquire() -> None:
    await sem.acquire(1)


async def main() -> None:
    sem.try_acquire(2)
    g = errgroup.Group()
    g.go(receive)
    await wait_all_parked()
    g.go(acquire)
    await wait_all_parked()
    await g.wait()


gopark.run(main)
