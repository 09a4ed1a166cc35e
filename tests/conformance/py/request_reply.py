from collections import defaultdict

import gopark


async def owner(requests: gopark.Chan) -> None:
    state: dict[str, int] = defaultdict(int)
    async for key, add, reply in requests:
        state[key] += add
        await reply.send(state[key])


async def main() -> None:
    requests = gopark.Chan()
    gopark.go(owner, requests)
    done = gopark.Chan()

    async def client(number: int) -> None:
        reply = gopark.Chan()
        for i in range(4):
            await requests.send(("total", number * 10 + i, reply))
            await reply.recv()
            await requests.send((f"client {number}", 1, reply))
            await reply.recv()
        await done.send(True)

    for number in range(5):
        gopark.go(client, number)
    for _ in range(5):
        await done.recv()
    reply = gopark.Chan()
    for key in ("total", "client 0", "client 4", "nobody"):
        await requests.send((key, 0, reply))
        print(key, await reply.recv())


gopark.run(main)
