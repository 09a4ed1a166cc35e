import gopark
from gopark import sync
from gopark.testing import wait_all_parked
from gopark.time import sleep


async def queue() -> None:
    mu, wg = sync.Mutex(), sync.WaitGroup()

    async def waiter(i: int) -> None:
        await mu.lock()
        print("got the lock", i)
        mu.unlock()
        wg.done()

    await mu.lock()
    for i in range(6):
        wg.add(1)
        gopark.go(waiter, i)
        await wait_all_parked()
    mu.unlock()
    await wg.wait()


async def hog(mu: sync.Mutex, stop: gopark.Chan) -> None:
    while True:
        await mu.lock()
        await sleep(100e-6)
        mu.unlock()
        index, _, _ = await gopark.select(gopark.recv(stop), default=True)
        if index == 0:
            await stop.send(True)
            return


async def main() -> None:
    await queue()
    mu = sync.Mutex()
    stop = gopark.Chan()
    gopark.go(hog, mu, stop)
    turns = 0
    for _ in range(10):
        await sleep(100e-6)
        await mu.lock()
        turns += 1
        mu.unlock()
    await stop.send(True)
    await stop.recv()
    print("turns beside the hog", turns)


gopark.run(main)
