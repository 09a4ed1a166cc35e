import gopark
from gopark.testing import wait_all_parked


async def main() -> None:
    start, order = gopark.Chan(), gopark.Chan(10)

    async def runner(i: int) -> None:
        await start.recv()
        await order.send(i)

    for i in range(6):
        gopark.go(runner, i)
        await wait_all_parked()
    start.close()
    for _ in range(6):
        print(await order.recv())
    _, ok = await start.recv_ok()
    print("again", str(ok).lower())


gopark.run(main)
