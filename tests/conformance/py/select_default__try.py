import gopark


def go_bool(value: bool) -> str:
    return str(value).lower()


def try_send(ch: gopark.Chan, v: int) -> str:
    return go_bool(ch.try_send(v))


def try_recv(ch: gopark.Chan) -> str:
    v, ok, received = ch.try_recv()
    return f"{v or 0} {go_bool(ok)}" if received else "nothing"


def main() -> None:
    buffered = gopark.Chan(2)
    for i in range(4):
        print("send", i, try_send(buffered, i))
    for _ in range(3):
        print("recv", try_recv(buffered))

    ch = gopark.Chan()
    print("nobody", try_send(ch, 1), try_recv(ch))
    done = gopark.Chan()

    def receive() -> None:
        print("received", gopark.block(ch.recv()))
        gopark.block(done.send(True))

    gopark.go(receive)
    gopark.block(gopark.testing.wait_all_parked())
    print("a receiver waits", try_send(ch, 2))
    gopark.block(done.recv())
    gopark.go(ch.send, 3)
    gopark.block(gopark.testing.wait_all_parked())
    print("a sender waits", try_recv(ch))

    buffered.close()
    print("closed", try_recv(buffered))


gopark.run(main)
