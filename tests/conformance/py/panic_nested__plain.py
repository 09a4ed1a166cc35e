import gopark


def three(n: int) -> None:
    if n > 2:
        raise LookupError(f"{n} is too many")


def two(n: int) -> None:
    three(n + 1)


def one(n: int) -> None:
    two(n + 1)


def child() -> None:
    one(1)


def parent(ch: gopark.Chan) -> None:
    gopark.go(child)
    gopark.block(ch.recv())


def main() -> None:
    ch = gopark.Chan()
    gopark.go(parent, ch)
    gopark.block(ch.recv())


gopark.run(main)
