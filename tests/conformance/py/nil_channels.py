import gopark
from gopark import recv


async def send(ch: gopark.Chan, *values: int) -> None:
    for v in values:
        await ch.send(v)
    ch.close()


async def main() -> None:
    chans: list[gopark.Chan | None] = [gopark.Chan(), gopark.Chan()]
    gopark.go(send, chans[0], 1, 3, 5)
    gopark.go(send, chans[1], 2, 4, 6, 8)
    total, left = 0, 7
    while chans != [None, None]:
        index, v, ok = await gopark.select(recv(chans[0]), recv(chans[1]))
        if not ok:
            chans[index] = None
            continue
        total += v
        left -= 1
    print(total, left)

    # A queue without an end: sends only while there is something to send.
    into: gopark.Chan | None = gopark.Chan()
    out, done = gopark.Chan(), gopark.Chan()
    gopark.go(send, into, 10, 20, 30)

    async def show() -> None:
        async for v in out:
            print("out", v)
        done.close()

    gopark.go(show)
    queue: list[int] = []
    while into is not None or queue:
        to, first = (out, queue[0]) if queue else (None, 0)
        index, v, ok = await gopark.select(recv(into), gopark.send(to, first))
        if index == 1:
            del queue[0]
        elif ok:
            queue.append(v)
        else:
            into = None
    out.close()
    await done.recv()
    index, _, _ = await gopark.select(recv(into), default=True)
    print("received from nil" if index == 0 else "nil is never ready")


gopark.run(main)
