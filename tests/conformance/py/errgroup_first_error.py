import gopark
from gopark import context
from gopark.sync import errgroup


def yes(value: bool) -> str:
    return str(value).lower()


async def main() -> None:
    g, ctx = errgroup.with_context(context.background())
    bad = ValueError("no good")
    started = gopark.Chan()

    async def wait(i: int) -> None:
        await started.send(True)
        await ctx.done().recv()
        print("stopped:", ctx.err(), "because", context.cause(ctx))
        if i == 0:
            raise ctx.err()

    async def fail() -> None:
        raise bad

    for i in range(3):
        g.go(wait, i)
    for _ in range(3):
        await started.recv()
    g.go(fail)
    try:
        await g.wait()
    except ValueError as err:
        print(err, yes(err is bad))

    fine = errgroup.Group()
    total = 0

    async def add(i: int) -> None:
        nonlocal total
        total += i

    for i in range(4):
        fine.go(add, i)
    print(yes(await fine.wait() is None), total)

    g, ctx = errgroup.with_context(context.background())
    g.go(add, 0)
    print("before", yes(ctx.err() is None))
    await g.wait()
    print("after", ctx.err(), context.cause(ctx))


gopark.run(main)
