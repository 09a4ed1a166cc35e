import gopark
from gopark import context


def go_err(err: object) -> str:
    return "<nil>" if err is None else str(err)


async def main() -> None:
    nodes = []

    def add(name: str, parent: context.Context) -> context.Context:
        ctx, cancel = context.with_cancel(parent)
        nodes.append((name, ctx, cancel))
        return ctx

    def show(what: str) -> None:
        print(f"{what}:", *(f"{name}={go_err(ctx.err())}" for name, ctx, _ in nodes))
        for _, ctx, _ in nodes:
            _, _, closed = ctx.done().try_recv()
            assert closed == (ctx.err() is not None)

    root = add("root", context.background())
    a = add("a", root)
    b = add("b", root)
    add("aa", a)
    add("ab", context.with_value(a, "key", 1))
    add("ba", b)
    show("all live")
    nodes[3][2]()
    show("aa cancelled")
    nodes[1][2]()
    nodes[1][2]()
    show("a cancelled")
    late, _cancel = context.with_cancel(a)
    print("child of a cancelled one:", late.err())
    nodes[0][2]()
    show("root cancelled")
    never = [ctx.done() is None for ctx in (context.background(), context.todo())]
    print(go_err(context.background().err()), *(str(one).lower() for one in never))


gopark.run(main)
