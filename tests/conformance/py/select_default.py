import gopark
from gopark.testing import wait_all_parked


def go_bool(value: bool) -> str:
    return str(value).lower()


async def try_send(ch: gopark.Chan, v: int) -> str:
    index, _, _ = await gopark.select(gopark.send(ch, v), default=True)
    assert index in (0, -1)
    return go_bool(index == 0)


async def try_recv(ch: gopark.Chan) -> str:
    index, v, ok = await gopark.select(gopark.recv(ch), default=True)
    return f"{v or 0} {go_bool(ok)}" if index == 0 else "nothing"


async def main() -> None:
    buffered = gopark.Chan(2)
    for i in range(4):
        print("send", i, await try_send(buffered, i))
    for _ in range(3):
        print("recv", await try_recv(buffered))

    ch = gopark.Chan()
    print("nobody", await try_send(ch, 1), await try_recv(ch))
    done = gopark.Chan()

    async def receive() -> None:
        print("received", await ch.recv())
        await done.send(True)

    gopark.go(receive)
    await wait_all_parked()
    print("a receiver waits", await try_send(ch, 2))
    await done.recv()
    gopark.go(ch.send, 3)
    await wait_all_parked()
    print("a sender waits", await try_recv(ch))

    buffered.close()
    print("closed", await try_recv(buffered))


gopark.run(main)
