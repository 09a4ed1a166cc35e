import gopark
from gopark import context


class key:
    pass


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"named {self.name}"


async def main() -> None:
    bg = context.background()
    print(bg)
    print(context.todo())
    c, _ = context.with_cancel(bg)
    print(c)
    print(context.with_value(c, "text", "value"))
    print(context.with_value(c, key(), Named("x")))
    print(context.with_value(bg, Named("k"), None))
    print(context.without_cancel(c))
    cc, cancel2 = context.with_cancel_cause(c)
    print(cc)
    cancel2(ValueError("x"))
    print(cc)
    d, _ = context.with_timeout(context.todo(), 3600)
    print(d)
    v, _ = context.with_cancel(context.with_value(d, "k", "v"))
    print(v)
    print(context.Canceled(), "/", context.DeadlineExceeded())


gopark.run(main)
