from time import monotonic

import gopark
from gopark import context
from gopark.context import background


def go_err(err: object) -> str:
    return "<nil>" if err is None else str(err)


def yes(*values: bool) -> str:
    return " ".join(str(value).lower() for value in values)


async def main() -> None:
    long, _ = context.with_timeout(background(), 3600)
    short, _ = context.with_timeout(long, 0.005)
    longer, _ = context.with_timeout(short, 3600)
    d1, d2, d3 = long.deadline(), short.deadline(), longer.deadline()
    print(yes(d1 is not None, d2 is not None, d3 is not None, d2 < d1, d3 == d2))
    print("background", yes(background().deadline() is not None))

    await longer.done().recv()
    print(*(go_err(ctx.err()) for ctx in (short, longer, long)), sep=" / ")
    exceeded = [isinstance(short.err(), context.DeadlineExceeded)]
    exceeded.append(isinstance(context.cause(longer), context.DeadlineExceeded))
    print(yes(*exceeded))

    past, cancel4 = context.with_deadline(background(), monotonic() - 1)
    print("past:", past.err())
    cancel4()
    print("still:", past.err())
    zero, _ = context.with_timeout(background(), 0)
    print("zero:", zero.err())

    quick, cancel6 = context.with_timeout(background(), 3600)
    cancel6()
    print("cancelled before its time:", quick.err())

    after = gopark.time.after(0.001)
    index, _, _ = await gopark.select(gopark.recv(long.done()), gopark.recv(after))
    print("the long one lives" if index == 1 else "not reached")


gopark.run(main)
