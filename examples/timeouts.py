"""Timeouts that act: a slow server, a goodbye that is said all the same, the first of many answers.

A timeout ends the wait it comes to, wherever that is, and the block is left. What has to be said
at the end waits behind a shield. Of mirrors that are asked together the first answer counts, and
the other requests are cancelled.

    python examples/timeouts.py
"""

from __future__ import annotations

import gopark
from gopark import context, net

SLOW, FAST = 3600.0, 0.01


async def serve(listener: net.Listener, delay: float, told: gopark.Chan[str]) -> None:
    """Answer one client after a while; what it says next is told."""
    async with await listener.accept() as conn:
        name = await conn.read_until(b"\n")
        answer = gopark.spawn(gopark.time.sleep, delay)
        goodbye = gopark.spawn(conn.read, 100)
        async for task in gopark.as_completed([answer, goodbye]):
            if task is answer:
                await conn.write(b"hello " + name)
            else:
                await told.send(f"{delay:g} s: {goodbye.result().decode() or 'gone'}")
                answer.cancel()


async def ask(address: str) -> str:
    """The answer of a server. Whatever ends the wait for it, the server hears a goodbye."""
    async with await net.dial("tcp", address) as conn:
        try:
            await conn.write(b"gopher\n")
            return str((await conn.read_until(b"\n")).decode().strip())
        finally:
            with context.shield(), gopark.timeout(5):  # it is said, if that takes no longer
                await conn.write(b"goodbye")


async def first(addresses: list[str]) -> str:
    """The answer of whoever is first; the others are not waited for."""
    tasks = [gopark.spawn(ask, address) for address in addresses]
    try:
        async for task in gopark.as_completed(tasks):
            return task.result()
        raise ValueError("there is nobody to ask")
    finally:
        for task in tasks:
            task.cancel()


async def main() -> None:
    told = gopark.Chan[str]()
    with net.listen("tcp", "127.0.0.1:0") as slow, net.listen("tcp", "127.0.0.1:0") as fast:
        gopark.go(serve, slow, SLOW, told)
        try:
            with gopark.timeout(0.05):
                print(await ask(str(slow.addr)))
        except TimeoutError as exc:
            print(exc)
        print("the server heard:", await told.recv())

        gopark.go(serve, slow, SLOW, told)
        gopark.go(serve, fast, FAST, told)
        print("first:", await first([str(slow.addr), str(fast.addr)]))
        for line in sorted([str(await told.recv()), str(await told.recv())]):
            print("the server heard:", line)


if __name__ == "__main__":
    gopark.run(main)
