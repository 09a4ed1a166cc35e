import gopark
from gopark import sync
from gopark.testing import wait_all_parked


async def main() -> None:
    mu, rw, wg = sync.Mutex(), sync.RWMutex(), sync.WaitGroup()

    async def work(i: int) -> None:
        try:
            async with mu, rw.reader():
                print("inside", i)
                gopark.goexit()
        finally:
            wg.done()

    for i in range(3):
        wg.add(1)
        gopark.go(work, i)
        await wait_all_parked()
    await wg.wait()
    print("free", str(mu.try_lock()).lower(), str(rw.try_lock()).lower())


gopark.run(main)
