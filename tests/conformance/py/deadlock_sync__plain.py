import gopark
from gopark import block, sync
from gopark.testing import wait_all_parked


def lock(mu: sync.Mutex) -> None:
    block(mu.lock())


def write(mu: sync.RWMutex) -> None:
    block(mu.lock())


def read(mu: sync.RWMutex) -> None:
    block(mu.rlock())


def wait(wg: sync.WaitGroup) -> None:
    block(wg.wait())


def notice(mu: sync.Mutex, c: sync.Cond) -> None:
    block(mu.lock())
    block(c.wait())


def main() -> None:
    mu, other = sync.Mutex(), sync.Mutex()
    rw, held = sync.RWMutex(), sync.RWMutex()
    wg = sync.WaitGroup()
    block(mu.lock())
    block(held.lock())
    block(rw.rlock())
    wg.add(1)
    gopark.go(lock, mu)
    block(wait_all_parked())
    gopark.go(read, held)
    block(wait_all_parked())
    gopark.go(write, rw)
    block(wait_all_parked())
    gopark.go(read, rw)
    block(wait_all_parked())
    gopark.go(write, held)
    block(wait_all_parked())
    gopark.go(wait, wg)
    block(wait_all_parked())
    gopark.go(notice, other, sync.Cond(other))
    block(wait_all_parked())
    lock(mu)


gopark.run(main)
