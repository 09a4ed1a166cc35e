import gopark


def receiver(ch: gopark.Chan) -> None:
    gopark.block(ch.recv())


def sender(ch: gopark.Chan) -> None:
    gopark.block(ch.send(1))


def selecter(a: gopark.Chan, b: gopark.Chan) -> None:
    gopark.block(gopark.select(gopark.recv(a), gopark.send(b, 1)))


def nobody() -> None:
    gopark.block(gopark.select())


def sleeper() -> None:
    gopark.block(gopark.time.sleep(3600))


def inner(ch: gopark.Chan) -> None:
    gopark.block(ch.recv())


def middle(ch: gopark.Chan) -> None:
    inner(ch)


def outer(ch: gopark.Chan) -> None:
    middle(ch)


def dump() -> None:
    print(gopark.runtime.stack(all=True), end="")


def main() -> None:
    gopark.go(receiver, gopark.Chan())
    gopark.go(sender, gopark.Chan())
    gopark.go(selecter, gopark.Chan(), gopark.Chan())
    gopark.go(nobody)
    gopark.go(sleeper)
    gopark.go(outer, gopark.Chan())
    gopark.block(gopark.testing.wait_all_parked())
    gopark.go(nobody)
    dump()


gopark.run(main)
