import gopark
from gopark.time import Timer, after_func, sleep


def yes(value: bool) -> str:
    return str(value).lower()


def received(ch: gopark.Chan) -> str:
    _, _, got = ch.try_recv()
    return yes(got)


async def main() -> None:
    t = Timer(3600)
    print("stop", yes(t.stop()), "again", yes(t.stop()), "received", received(t.c))

    due = Timer(0)
    await sleep(0.002)
    print("due: stop", yes(due.stop()), "received", received(due.c))

    taken = Timer(0.001)
    await taken.c.recv()
    print("taken: stop", yes(taken.stop()), "received", received(taken.c))
    print("len", len(due.c), "cap", due.c.cap)

    ran = gopark.Chan()
    f = after_func(3600, ran.send, "not reached")
    print("func: stop", yes(f.stop()), "again", yes(f.stop()))
    g = after_func(0.001, ran.send, "ran")
    print(await ran.recv())
    print("func: stop after", yes(g.stop()))


gopark.run(main)
