import gopark
from gopark import gosched, sync

forks = [sync.Mutex() for _ in range(5)]
meals = [0] * 5
eating = most = 0


async def philosopher(i: int) -> None:
    global eating, most
    first, second = sorted((i, (i + 1) % 5))
    for _ in range(20):
        async with forks[first]:
            await gosched()
            async with forks[second]:
                eating += 1
                most = max(most, eating)
                await gosched()
                meals[i] += 1
                eating -= 1


async def main() -> None:
    wg = sync.WaitGroup()
    for i in range(5):
        wg.go(philosopher, i)
    await wg.wait()
    text = "[" + " ".join(map(str, meals)) + "]"
    print(text, "at most two eat:", str(most <= 2).lower())


gopark.run(main)
