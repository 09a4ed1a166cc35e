import gopark


class OddError(Exception):
    pass


class CheckError(Exception):
    pass


def check(n: int) -> None:
    try:
        if n % 2 == 1:
            raise OddError("odd")
    except OddError as exc:
        raise CheckError(f"check {n}: {exc}") from exc


async def worker(jobs: gopark.Chan, out: gopark.Chan) -> None:
    try:
        async for n in jobs:
            try:
                check(n)
            except CheckError as exc:
                await out.send(f"{exc} {str(isinstance(exc.__cause__, OddError)).lower()}")
            else:
                await out.send("fine")
    finally:
        out.close()


async def outer() -> None:
    try:
        await inner()
        print("not reached")
    except RuntimeError as exc:
        print("outer recovered:", exc)


async def inner() -> None:
    try:
        raise ValueError("first")
    except ValueError as exc:
        print("inner recovered:", exc)
        raise RuntimeError(f"again {exc}") from exc


async def main() -> None:
    jobs, out = gopark.Chan(4), gopark.Chan()
    for i in range(4):
        await jobs.send(i)
    jobs.close()
    gopark.go(worker, jobs, out)
    async for line in out:
        print(line)
    await outer()


gopark.run(main)
