from __future__ import annotations

import gopark
from gopark import recv, send
from gopark.testing import wait_all_parked


class Tree:
    def __init__(self, value: int) -> None:
        self.value = value
        self.left: Tree | None = None
        self.right: Tree | None = None


def insert(t: Tree | None, v: int) -> Tree:
    if t is None:
        return Tree(v)
    if v < t.value:
        t.left = insert(t.left, v)
    else:
        t.right = insert(t.right, v)
    return t


def build(*values: int) -> Tree | None:
    t = None
    for v in values:
        t = insert(t, v)
    return t


async def walk(t: Tree | None, out: gopark.Chan, quit_: gopark.Chan) -> bool:
    if t is None:
        return True
    if not await walk(t.left, out, quit_):
        return False
    index, _, _ = await gopark.select(send(out, t.value), recv(quit_))
    return index == 0 and await walk(t.right, out, quit_)


async def walker(t: Tree | None, out: gopark.Chan, quit_: gopark.Chan) -> None:
    try:
        await walk(t, out, quit_)
    finally:
        out.close()


async def same(a: Tree | None, b: Tree | None) -> str:
    ca, cb, quit_ = gopark.Chan(), gopark.Chan(), gopark.Chan()
    try:
        gopark.go(walker, a, ca, quit_)
        gopark.go(walker, b, cb, quit_)
        while True:
            one, other = await ca.recv_ok(), await cb.recv_ok()
            if one != other:
                return "false"
            if not one[1]:
                return "true"
    finally:
        quit_.close()


async def main() -> None:
    print(await same(build(3, 1, 8, 2, 5), build(1, 2, 3, 5, 8)))
    print(await same(build(3, 1, 8, 2, 5), build(1, 2, 4, 5, 8)))
    print(await same(build(1, 2), build(1, 2, 3)))
    print(await same(None, None))
    await wait_all_parked()
    print("left", gopark.runtime.num_goroutine())


gopark.run(main)
