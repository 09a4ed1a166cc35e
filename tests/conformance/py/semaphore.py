import gopark
from gopark import context
from gopark.sync import semaphore
from gopark.testing import wait_all_parked


def yes(value: bool) -> str:
    return str(value).lower()


async def main() -> None:
    ctx = context.background()
    sem = semaphore.Weighted(4)
    print("try", *(yes(sem.try_acquire(n)) for n in (3, 2, 1)))
    done = gopark.Chan()

    async def user(n: int) -> None:
        await sem.acquire(n)
        print("acquired", n)
        sem.release(n)
        await done.send(f"done {n}")

    for n in (4, 1, 2):
        gopark.go(user, n)
        await wait_all_parked()
    sem.release(1)
    await wait_all_parked()
    print("the small ones wait behind the large one", yes(sem.try_acquire(1)))
    sem.release(3)
    for _ in range(3):
        await done.recv()

    async def attempt(n: int, ctx: context.Context, what: str) -> None:
        try:
            await sem.acquire(n, ctx)
        except context.Canceled as err:
            await done.send(f"{what}: {err}")

    await sem.acquire(4)
    short, cancel = context.with_cancel(ctx)
    gopark.go(attempt, 1, short, "gave up")
    await wait_all_parked()
    cancel()
    print(await done.recv())
    sem.release(4)
    gopark.go(attempt, 1, short, "cancelled before")
    print(await done.recv())
    print("all is free:", yes(sem.try_acquire(4)))
    short, cancel = context.with_cancel(ctx)
    gopark.go(attempt, 5, short, "more than there is")
    await wait_all_parked()
    cancel()
    print(await done.recv())
    sem.release(4)
    try:
        sem.release(1)
    except RuntimeError as exc:
        print("recovered:", str(exc).rpartition(":")[0])  # how much is held follows


gopark.run(main)
