import gopark
from gopark.sync import errgroup


async def leave() -> None:
    try:
        gopark.goexit()
        raise ValueError("not reached")
    finally:
        print("deferred")


async def follow() -> None:
    print("next")


async def main() -> None:
    g = errgroup.Group()
    g.set_limit(1)
    await g.go(leave).started()
    await g.go(follow).started()
    error = "<nil>"
    try:
        await g.wait()
    except ValueError as exc:
        error = str(exc)
    print("error:", error)


gopark.run(main)
