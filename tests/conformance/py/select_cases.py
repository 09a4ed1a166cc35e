import gopark
from gopark import recv, send


def go_bool(value: bool) -> str:
    return str(value).lower()


async def main() -> None:
    a, b = gopark.Chan(1), gopark.Chan(1)
    none = None

    index, v, ok = await gopark.select(recv(a), send(none, "x"), default=True)
    print({0: f"a {v}", 1: "none", -1: "default"}[index])

    await b.send("value")
    index, v, ok = await gopark.select(recv(a), recv(b), recv(none))
    print([f"a {v}", f"b {v}", "none"][index])

    took = [False, False]
    for _ in range(200):
        await a.send("")
        await b.send("")
        index, _v, _ok = await gopark.select(recv(a), recv(b))
        took[index] = True
        await (b, a)[index].recv()
    print("both taken:", go_bool(all(took)))

    a.close()
    index, v, ok = await gopark.select(recv(a), recv(none))
    print([f"closed: {go_bool(v is None)} {go_bool(ok)}", "none"][index])

    index, _, _ = await gopark.select(recv(b), recv(gopark.time.after(0.001)))
    print(["b", "timeout"][index])


gopark.run(main)
