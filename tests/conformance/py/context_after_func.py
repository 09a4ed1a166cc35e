import gopark
from gopark import context


def yes(value: bool) -> str:
    return str(value).lower()


async def main() -> None:
    ctx, cancel = context.with_cancel(context.background())
    ran = gopark.Chan()

    async def run() -> None:
        await ran.send(f"ran: {ctx.err()}")

    stop = context.after_func(ctx, run)
    stopped = context.after_func(ctx, lambda: print("not reached"))
    print("stop before", yes(stopped()), "again", yes(stopped()))
    cancel()
    print(await ran.recv())
    print("stop after", yes(stop()))

    async def at_once() -> None:
        await ran.send("at once")

    context.after_func(ctx, at_once)
    print(await ran.recv())

    # It does not hold up the one who cancels.
    other, cancel_other = context.with_cancel(context.background())
    block = gopark.Chan()

    async def blocked() -> None:
        await block.recv()
        await ran.send("unblocked")

    context.after_func(other, blocked)
    cancel_other()
    print("cancelled", other.err())
    await block.send(True)
    print(await ran.recv())


gopark.run(main)
