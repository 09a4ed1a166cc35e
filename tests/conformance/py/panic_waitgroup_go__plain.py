import gopark
from gopark import sync


def work() -> None:
    raise ValueError("in the group")


def main() -> None:
    wg = sync.WaitGroup()
    wg.go(work)
    gopark.block(wg.wait())


gopark.run(main)
