import gopark
from gopark.sync import errgroup


def yes(value: object) -> str:
    return str(bool(value)).lower()


async def main() -> None:
    g = errgroup.Group()
    g.set_limit(2)
    running = most = 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(3):
            await gopark.gosched()
        running -= 1

    for _ in range(8):
        await g.go(work).started()
    await g.wait()
    print("most at once", most)

    stop = gopark.Chan()
    print("try", *(yes(g.try_go(stop.recv)) for _ in range(3)))
    try:
        g.set_limit(3)
    except RuntimeError as exc:
        print("recovered:", exc)
    stop.close()
    await g.wait()
    print("try again", yes(g.try_go(stop.recv)))
    await g.wait()
    g.set_limit(0)
    print("no place at all", yes(g.try_go(stop.recv)))
    g.set_limit(-1)
    print("no limit", *(yes(g.try_go(stop.recv)) for _ in range(3)))
    await g.wait()


gopark.run(main)
