import gopark
from gopark import recv
from gopark.time import after, sleep

HOUR = 3600.0


def answer(text: str, delay: float) -> gopark.Chan[str]:
    ch = gopark.Chan[str](1)  # room for an answer that nobody waits for any more

    async def run() -> None:
        await sleep(delay)
        await ch.send(text)

    gopark.go(run)
    return ch


async def ask(text: str, delay: float, patience: float) -> None:
    index, v, _ = await gopark.select(recv(answer(text, delay)), recv(after(patience)))
    print(f"answer: {v}" if index == 0 else f"timeout: {text}")


async def main() -> None:
    await ask("fast", 0.001, HOUR)
    await ask("slow", HOUR, 0.005)
    await ask("at once", 0, HOUR)

    ch = gopark.Chan()

    async def five() -> None:
        for i in range(5):
            await ch.send(i)

    gopark.go(five)
    deadline = after(0.200)
    while True:
        index, v, _ = await gopark.select(recv(ch), recv(deadline))
        if index == 1:
            break
        print("value", v)
    print("the loop's time is up")
    await gopark.select(recv(after(-1.0)))
    print("a time that has passed")


gopark.run(main)
