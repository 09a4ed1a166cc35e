import gopark


async def produce(name: str, out: gopark.Chan) -> None:
    for i in range(4):
        await out.send(f"{name}{i}")
    out.close()


async def forward(into: gopark.Chan, out: gopark.Chan, done: gopark.Chan) -> None:
    async for v in into:
        await out.send(v)
    await done.send(True)


def merge(ins: list[gopark.Chan]) -> gopark.Chan:
    out, done = gopark.Chan(), gopark.Chan()
    for into in ins:
        gopark.go(forward, into, out, done)

    async def end() -> None:
        for _ in ins:
            await done.recv()
        out.close()

    gopark.go(end)
    return out


async def main() -> None:
    ins = []
    for name in "abc":
        into = gopark.Chan()
        gopark.go(produce, name, into)
        ins.append(into)
    seen = dict.fromkeys("abc", "")
    async for v in merge(ins):
        seen[v[0]] += v[1:]
    for name, values in seen.items():
        print(name, values)


gopark.run(main)
