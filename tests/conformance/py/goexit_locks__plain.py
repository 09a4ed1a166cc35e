import gopark
from gopark import sync


def main() -> None:
    mu, rw, wg = sync.Mutex(), sync.RWMutex(), sync.WaitGroup()

    def work(i: int) -> None:
        try:
            with mu, rw.reader():
                print("inside", i)
                gopark.goexit()
        finally:
            wg.done()

    for i in range(3):
        wg.add(1)
        gopark.go(work, i)
        gopark.block(gopark.testing.wait_all_parked())
    gopark.block(wg.wait())
    print("free", str(mu.try_lock()).lower(), str(rw.try_lock()).lower())


gopark.run(main)
