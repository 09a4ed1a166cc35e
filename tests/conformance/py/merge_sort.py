import gopark


def ordered(values: list[int]) -> gopark.Chan[int]:
    out = gopark.Chan[int](1)

    async def run() -> None:
        if len(values) <= 1:
            for v in values:
                await out.send(v)
            return out.close()
        half = len(values) // 2
        a, b = ordered(values[:half]), ordered(values[half:])
        x, okx = await a.recv_ok()
        y, oky = await b.recv_ok()
        while okx or oky:
            if okx and (not oky or x <= y):
                await out.send(x)
                x, okx = await a.recv_ok()
            else:
                await out.send(y)
                y, oky = await b.recv_ok()
        return out.close()

    gopark.go(run)
    return out


async def main() -> None:
    values = [i * 37 % 101 for i in range(50)]
    async for v in ordered(values):
        print(v, end=" ")
    print()


gopark.run(main)
