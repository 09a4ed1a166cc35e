import gopark
from gopark import sync


async def attempt(once: sync.Once, fn) -> None:
    recovered = "<nil>"
    try:
        await once.do(fn)
    except ValueError as exc:
        recovered = str(exc)
    print("recovered:", recovered)


def fail() -> None:
    raise ValueError("no good")


async def main() -> None:
    once = sync.Once()
    for i in range(3):
        await once.do(print, "called", i)

    failing = sync.Once()
    await attempt(failing, fail)
    await attempt(failing, lambda: print("not reached"))

    left = sync.Once()
    done = gopark.Chan()

    async def leave() -> None:
        try:
            await left.do(gopark.goexit)
            print("not reached")
        finally:
            done.close()

    gopark.go(leave)
    await done.recv()
    await left.do(print, "not reached")

    # Those who come while it runs wait for its end.
    slow, wg = sync.Once(), sync.WaitGroup()
    ready = False

    async def prepare() -> None:
        nonlocal ready
        for _ in range(3):
            await gopark.gosched()
        ready = True

    async def user() -> None:
        await slow.do(prepare)
        print("ready", str(ready).lower())
        wg.done()

    for _ in range(3):
        wg.add(1)
        gopark.go(user)
    await wg.wait()


gopark.run(main)
