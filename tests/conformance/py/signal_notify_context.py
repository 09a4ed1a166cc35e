import os
from signal import SIGUSR1, SIGUSR2

import gopark
from gopark import context, signal


def go_err(err: object) -> str:
    return "<nil>" if err is None else str(err)


async def main() -> None:
    ctx, stop = signal.notify_context(context.background(), SIGUSR1)
    print(go_err(ctx.err()))
    os.kill(os.getpid(), SIGUSR1)
    await ctx.done().recv()
    print(ctx.err(), "/", context.cause(ctx))

    other, stop_other = signal.notify_context(context.background(), SIGUSR2)
    print(other)
    stop_other()
    print(other.err(), "/", context.cause(other))

    parent, cancel = context.with_cancel(context.background())
    child, stop_child = signal.notify_context(parent, SIGUSR2)
    cancel()
    await child.done().recv()
    print(child.err(), "/", context.cause(child))
    stop()
    stop_child()


gopark.run(main)
