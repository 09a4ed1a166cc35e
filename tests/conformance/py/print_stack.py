import gopark


def look(what: str) -> None:
    print(what, gopark.debug.stack(), sep="\n")


def fails(n: int) -> None:
    if n == 0:
        raise ValueError("oops")
    fails(n - 1)


async def passes() -> None:
    try:
        fails(2)
    finally:
        look("passing")


async def recovers() -> None:
    try:
        await passes()
    except ValueError:
        look("recovered")


async def leaves(done: gopark.Chan) -> None:
    try:
        gopark.goexit()
    finally:
        look("leaving")
        done.close()


async def worker(done: gopark.Chan) -> None:
    look("before")
    await recovers()
    look("after")
    done.close()


async def main() -> None:
    done = gopark.Chan()
    gopark.go(worker, done)
    await done.recv()
    left = gopark.Chan()
    gopark.go(leaves, left)
    await left.recv()


gopark.run(main)
