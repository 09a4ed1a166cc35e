import gopark


def receiver(ch: gopark.Chan) -> None:
    gopark.block(ch.recv())


def sender(ch: gopark.Chan) -> None:
    gopark.block(ch.send(1))


def selecter(a: gopark.Chan, b: gopark.Chan) -> None:
    gopark.block(gopark.select(gopark.recv(a), gopark.send(b, 1)))


def nobody() -> None:
    gopark.block(gopark.select())


def locked(ch: gopark.Chan) -> None:
    gopark.runtime.lock_os_thread()
    gopark.block(ch.recv())


def main() -> None:
    gopark.go(receiver, gopark.Chan())
    gopark.go(sender, gopark.Chan())
    gopark.go(selecter, gopark.Chan(), gopark.Chan())
    gopark.go(nobody)
    gopark.go(locked, gopark.Chan())
    gopark.block(gopark.Chan().recv())


gopark.run(main)
