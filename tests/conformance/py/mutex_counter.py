import gopark
from gopark import sync

counter = inside = most = 0


async def work(mu: sync.Mutex, wg: sync.WaitGroup) -> None:
    global counter, inside, most
    try:
        for _ in range(10):
            async with mu:
                inside += 1
                most = max(most, inside)
                before = counter
                await gopark.gosched()
                counter = before + 1
                inside -= 1
    finally:
        wg.done()


def go_bool(value: bool) -> str:
    return str(value).lower()


async def main() -> None:
    mu, wg = sync.Mutex(), sync.WaitGroup()
    for _ in range(20):
        wg.add(1)
        gopark.go(work, mu, wg)
    await wg.wait()
    print(counter, most)
    print("free", go_bool(mu.try_lock()), "again", go_bool(mu.try_lock()))


gopark.run(main)
