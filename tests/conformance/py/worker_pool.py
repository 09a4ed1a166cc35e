import gopark


async def worker(jobs: gopark.Chan, results: gopark.Chan, done: gopark.Chan) -> None:
    async for job in jobs:
        await results.send(f"{job:02d} squared is {job * job}")
    await done.send(True)


async def main() -> None:
    jobs, results, done = gopark.Chan(5), gopark.Chan(), gopark.Chan()
    for _ in range(3):
        gopark.go(worker, jobs, results, done)

    async def feed() -> None:
        for i in range(20):
            await jobs.send(i)
        jobs.close()
        for _ in range(3):
            await done.recv()
        results.close()

    gopark.go(feed)
    lines = []
    async for line in results:
        lines.append(line)
    for line in sorted(lines):
        print(line)


gopark.run(main)
