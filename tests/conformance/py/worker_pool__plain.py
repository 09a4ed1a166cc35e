import gopark
from gopark import block


def worker(jobs: gopark.Chan, results: gopark.Chan, done: gopark.Chan) -> None:
    for job in jobs:
        block(results.send(f"{job:02d} squared is {job * job}"))
    block(done.send(True))


def main() -> None:
    jobs, results, done = gopark.Chan(5), gopark.Chan(), gopark.Chan()
    for _ in range(3):
        gopark.go(worker, jobs, results, done)

    def feed() -> None:
        for i in range(20):
            block(jobs.send(i))
        jobs.close()
        for _ in range(3):
            block(done.recv())
        results.close()

    gopark.go(feed)
    for line in sorted(results):
        print(line)


gopark.run(main)
