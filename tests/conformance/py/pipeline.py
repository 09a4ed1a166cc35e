import gopark


def count(n: int) -> gopark.Chan[int]:
    out = gopark.Chan[int]()

    async def run() -> None:
        for i in range(n):
            await out.send(i)
        out.close()

    gopark.go(run)
    return out


def square(into: gopark.Chan[int]) -> gopark.Chan[int]:
    out = gopark.Chan[int]()

    async def run() -> None:
        async for v in into:
            await out.send(v * v)
        out.close()

    gopark.go(run)
    return out


def odd(into: gopark.Chan[int]) -> gopark.Chan[int]:
    out = gopark.Chan[int](4)

    async def run() -> None:
        async for v in into:
            if v % 2 == 1:
                await out.send(v)
        out.close()

    gopark.go(run)
    return out


async def main() -> None:
    total = 0
    async for v in odd(square(count(12))):
        print(v)
        total += v
    print("sum", total)


gopark.run(main)
