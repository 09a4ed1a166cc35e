import gopark
from gopark import context


async def alarm() -> None:
    raise ValueError("the alarm is broken")


async def main() -> None:
    ctx, cancel = context.with_cancel(context.background())
    context.after_func(ctx, alarm)
    cancel()
    await gopark.select()


gopark.run(main)
