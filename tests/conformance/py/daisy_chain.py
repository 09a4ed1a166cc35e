import gopark
from gopark.testing import wait_all_parked


async def link(left: gopark.Chan, right: gopark.Chan) -> None:
    await left.send(1 + await right.recv())


async def main() -> None:
    leftmost = gopark.Chan()
    left = leftmost
    for _ in range(1000):
        right = gopark.Chan()
        gopark.go(link, left, right)
        left = right
    print(gopark.runtime.num_goroutine())
    gopark.go(left.send, 1)
    print(await leftmost.recv())
    await wait_all_parked()
    print(gopark.runtime.num_goroutine())


gopark.run(main)
