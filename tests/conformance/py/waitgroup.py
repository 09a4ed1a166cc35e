import gopark
from gopark import sync
from gopark.testing import wait_all_parked


def go_list(values: list[int]) -> str:
    return "[" + " ".join(map(str, values)) + "]"


async def main() -> None:
    wg = sync.WaitGroup()
    await wg.wait()
    print("nothing to wait for")

    results = [0] * 5

    async def square(i: int) -> None:
        results[i] = i * i
        wg.done()

    for i in range(5):
        wg.add(1)
        gopark.go(square, i)
    await wg.wait()
    print(go_list(results))

    wg.add(2)
    done = gopark.Chan()

    async def waiter(i: int) -> None:
        await wg.wait()
        await done.send(i)

    for i in range(3):
        gopark.go(waiter, i)
        await wait_all_parked()
    wg.done()
    await wait_all_parked()
    _, _, early = done.try_recv()
    print("too early" if early else "one is left")
    wg.done()
    total = 0
    for _ in range(3):
        total += await done.recv()
    print("waiters", total)

    async def negate(i: int) -> None:
        results[i] = -i

    for i in range(5):
        wg.go(negate, i)
    wg.go(gopark.goexit)
    await wg.wait()
    print(go_list(results))


gopark.run(main)
