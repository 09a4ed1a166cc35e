import gopark
from gopark import context


class UserKey:
    pass


class TraceKey:
    pass


USER, TRACE = UserKey(), TraceKey()


def show(ctx: context.Context) -> None:
    for value in (ctx.value(USER), ctx.value(TRACE), ctx.value("user")):
        print("none" if value is None else value, end=" ")
    print("<nil>" if ctx.err() is None else ctx.err())


async def main() -> None:
    bg = context.background()
    show(bg)
    user = context.with_value(bg, USER, "ada")
    show(user)
    both, cancel = context.with_cancel(context.with_value(user, TRACE, 17))
    show(both)
    inner = context.with_value(both, USER, "ken")
    show(inner)
    show(context.with_value(inner, "user", "rob"))
    show(both)
    cancel()
    show(inner)
    show(context.without_cancel(inner))


gopark.run(main)
