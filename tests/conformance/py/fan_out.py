import gopark
from gopark import send


def go_list(values: list[int]) -> str:
    return "[" + " ".join(map(str, values)) + "]"


async def deal(into: gopark.Chan, outs: list[gopark.Chan]) -> None:
    async for v in into:
        await outs[v % len(outs)].send(v)
    for out in outs:
        out.close()


async def collect(into: gopark.Chan, answer: gopark.Chan) -> None:
    await answer.send(go_list([v async for v in into]))


async def tee(into: gopark.Chan, a: gopark.Chan, b: gopark.Chan) -> None:
    """Every value to both, whichever is ready first."""
    async for v in into:
        to: list[gopark.Chan | None] = [a, b]
        for _ in range(2):
            index, _v, _ok = await gopark.select(send(to[0], v), send(to[1], v))
            to[index] = None
    a.close()
    b.close()


def source(n: int) -> gopark.Chan:
    out = gopark.Chan()

    async def run() -> None:
        for i in range(n):
            await out.send(i)
        out.close()

    gopark.go(run)
    return out


async def main() -> None:
    outs, answers = [], []
    for _ in range(4):
        out, answer = gopark.Chan(), gopark.Chan()
        gopark.go(collect, out, answer)
        outs.append(out)
        answers.append(answer)
    gopark.go(deal, source(18), outs)
    for i, answer in enumerate(answers):
        print("dealt", i, await answer.recv())

    a, b = gopark.Chan(), gopark.Chan()
    left, right = gopark.Chan(), gopark.Chan()
    gopark.go(collect, a, left)
    gopark.go(collect, b, right)
    gopark.go(tee, source(6), a, b)
    print("both", await left.recv(), await right.recv())


gopark.run(main)
