import gopark
from gopark import sync
from gopark.testing import wait_all_parked


def go_list(values: list[int]) -> str:
    return "[" + " ".join(map(str, values)) + "]"


async def main() -> None:
    mu = sync.Mutex()
    cond = sync.Cond(mu)
    wg = sync.WaitGroup()
    turns = 0

    async def turn(i: int) -> None:
        nonlocal turns
        async with mu:
            while turns == 0:
                await cond.wait()
            turns -= 1
            print("turn of", i)
        wg.done()

    for i in range(4):
        wg.add(1)
        gopark.go(turn, i)
        await wait_all_parked()
    for _ in range(4):
        async with mu:
            turns += 1
            cond.signal()
        await wait_all_parked()
    await wg.wait()

    gate = False
    through: list[int] = []

    async def passer(i: int) -> None:
        async with mu:
            while not gate:
                await cond.wait()
            through.append(i)
        wg.done()

    for i in range(4):
        wg.add(1)
        gopark.go(passer, i)
        await wait_all_parked()
    cond.signal()  # nothing has changed: who wakes waits again
    await wait_all_parked()
    print("the gate is shut", go_list(through))
    async with mu:
        gate = True
        cond.broadcast()
    await wg.wait()
    print("through the gate", go_list(sorted(through)))
    cond.signal()
    cond.broadcast()
    print("nobody waits")


gopark.run(main)
