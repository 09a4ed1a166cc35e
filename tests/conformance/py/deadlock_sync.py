import gopark
from gopark import sync


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
    await gopark.gosched()
    gopark.go(read, held)
    await gopark.gosched()
    gopark.go(write, rw)
    await gopark.gosched()
    gopark.go(read, rw)
    await gopark.gosched()
    gopark.go(write, held)
    await gopark.gosched()
    gopark.go(wait, wg)
    await gopark.gosched()
    gopark.go(notice, other, sync.Cond(other))
    await gopark.gosched()
    await lock(mu)


gopark.run(main)
