import gopark
from gopark import sync
from gopark.testing import wait_all_parked


async def lock(mu: sync.Mutex) -> None:
    await mu.lock()


async def write(mu: sync.RWMutex) -> None:
    await mu.lock()


async def read(mu: sync.RWMutex) -> None:
    await mu.rlock()


async def wait(wg: sync.WaitGroup) -> None:
    await wg.wait()


async def notice(mu: sync.Mutex, c: sync.Cond) -> None:
    await mu.lock()
    await c.wait()


async def main() -> None:
    mu, other = sync.Mutex(), sync.Mutex()
    rw, held = sync.RWMutex(), sync.RWMutex()
    wg = sync.WaitGroup()
    await mu.lock()
    await held.lock()
    await rw.rlock()
    wg.add(1)
    gopark.go(lock, mu)
    await wait_all_parked()
    gopark.go(read, held)
    await wait_all_parked()
    gopark.go(write, rw)
    await wait_all_parked()
    gopark.go(read, rw)
    await wait_all_parked()
    gopark.go(write, held)
    await wait_all_parked()
    gopark.go(wait, wg)
    await wait_all_parked()
    gopark.go(notice, other, sync.Cond(other))
    await wait_all_parked()
    await lock(mu)


gopark.run(main)
