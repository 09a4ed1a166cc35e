import gopark
from gopark import sync


def release(mu: sync.Mutex) -> None:
    mu.unlock()


def work(mu: sync.Mutex) -> None:
    with mu:
        pass
    release(mu)


def wait(ch: gopark.Chan) -> None:
    gopark.block(ch.recv())


def main() -> None:
    mu = sync.Mutex()
    ch = gopark.Chan()
    gopark.go(wait, ch)
    gopark.block(gopark.testing.wait_all_parked())
    gopark.go(work, mu)
    wait(ch)


gopark.run(main)
