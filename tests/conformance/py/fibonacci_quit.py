import gopark
from gopark import recv, send


async def fibonacci(out: gopark.Chan, quit_: gopark.Chan) -> None:
    x, y = 0, 1
    while True:
        index, _, _ = await gopark.select(send(out, x), recv(quit_))
        if index == 1:
            print("quit")
            return
        x, y = y, x + y


async def main() -> None:
    out, quit_ = gopark.Chan(), gopark.Chan()

    async def show() -> None:
        for _ in range(15):
            print(await out.recv())
        quit_.close()

    gopark.go(show)
    await fibonacci(out, quit_)


gopark.run(main)
