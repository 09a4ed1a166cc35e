import gopark
from gopark.testing import wait_all_parked


async def worker(n: int, answers: gopark.Chan) -> None:
    print("worker", n, "leaves")
    gopark.goexit()
    await answers.send(n)


async def collect(answers: gopark.Chan) -> int:
    return await answers.recv()


async def main() -> None:
    answers = gopark.Chan()
    for i in range(3):
        gopark.go(worker, i, answers)
        await wait_all_parked()
    print(await collect(answers))


gopark.run(main)
