import gopark
from gopark import sync
from gopark.testing import wait_all_parked


def yes(value: bool) -> str:
    return str(value).lower()


async def main() -> None:
    mu, wg = sync.RWMutex(), sync.WaitGroup()
    readers: list[int] = []
    await mu.rlock()
    await mu.rlock()
    third, writing = mu.try_rlock(), mu.try_lock()
    print("two readers; a third may:", yes(third), "a writer may:", yes(writing))
    mu.runlock()

    async def writer() -> None:
        await mu.lock()
        print("writer, before", len(readers), "readers")
        mu.unlock()
        wg.done()

    async def reader(i: int) -> None:
        await mu.rlock()
        readers.append(i)
        mu.runlock()
        wg.done()

    wg.add(1)
    gopark.go(writer)
    await wait_all_parked()
    print("a writer waits; a reader may:", yes(mu.try_rlock()))
    for i in range(3):
        wg.add(1)
        gopark.go(reader, i)
        await wait_all_parked()
    mu.runlock()
    print("one reader left")
    mu.runlock()
    await wg.wait()
    print("readers [" + " ".join(map(str, sorted(readers))) + "]")

    r = mu.reader()
    await r.lock()
    print("a writer may:", yes(mu.try_lock()))
    r.unlock()
    print("a writer may:", yes(mu.try_lock()))
    print("a reader may:", yes(mu.try_rlock()))
    mu.unlock()


gopark.run(main)
