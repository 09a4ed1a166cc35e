import gopark
from gopark import block
from gopark.sync import errgroup, semaphore
from gopark.testing import wait_all_parked

sem = semaphore.Weighted(2)


def receive() -> None:
    block(gopark.Chan().recv())


def acquire() -> None:
    block(sem.acquire(1))


def main() -> None:
    sem.try_acquire(2)
    with errgroup.Group() as g:
        g.go(receive)
        block(wait_all_parked())
        g.go(acquire)
        block(wait_all_parked())


gopark.run(main)
