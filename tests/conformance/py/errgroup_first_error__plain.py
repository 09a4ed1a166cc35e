import gopark
from gopark import block, context
from gopark.sync import errgroup


def yes(value: bool) -> str:
    return str(value).lower()


def main() -> None:
    g, ctx = errgroup.with_context(context.background())
    bad = ValueError("no good")
    started = gopark.Chan()

    def wait(i: int) -> None:
        block(started.send(True))
        block(ctx.done().recv())
        print("stopped:", ctx.err(), "because", context.cause(ctx))
        if i == 0:
            raise ctx.err()

    def fail() -> None:
        raise bad

    for i in range(3):
        g.go(wait, i)
    for _ in range(3):
        block(started.recv())
    g.go(fail)
    try:
        block(g.wait())
    except ValueError as err:
        print(err, yes(err is bad))

    total = 0

    def add(i: int) -> None:
        nonlocal total
        total += i

    with errgroup.Group() as fine:
        for i in range(4):
            fine.go(add, i)
    print("true", total)

    g, ctx = errgroup.with_context(context.background())
    g.go(add, 0)
    print("before", yes(ctx.err() is None))
    block(g.wait())
    print("after", ctx.err(), context.cause(ctx))


gopark.run(main)
