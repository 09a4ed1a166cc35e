import gopark
from gopark import context
from gopark.context import background


def go_err(err: object) -> str:
    return "<nil>" if err is None else str(err)


def show(what: str, ctx: context.Context) -> None:
    print(what, "err:", go_err(ctx.err()), "cause:", go_err(context.cause(ctx)))


def yes(value: bool) -> str:
    return str(value).lower()


async def main() -> None:
    why = OSError("the disk is full")
    parent, stop = context.with_cancel_cause(background())
    show("before", parent)
    early, stop_early = context.with_cancel_cause(parent)
    child, _ = context.with_cancel(parent)
    stop_early(ValueError("early"))
    stop(why)
    stop(ValueError("too late"))
    show("parent", parent)
    show("early", early)
    show("child", child)
    print(yes(context.cause(child) is why), yes(isinstance(child.err(), context.Canceled)))

    plain, cancel = context.with_cancel_cause(background())
    cancel(None)
    show("without a cause", plain)

    short, _ = context.with_timeout_cause(background(), 0.001, ValueError("too slow"))
    await short.done().recv()
    show("timeout", short)
    under, stop_under = context.with_cancel_cause(short)
    stop_under(ValueError("nobody sees this"))
    show("below it", under)

    timely, finish = context.with_timeout_cause(background(), 3600, ValueError("too slow"))
    finish()
    show("finished in time", timely)
    show("without cancel", context.without_cancel(parent))
    show("background", background())


gopark.run(main)
