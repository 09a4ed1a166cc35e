import gopark
from gopark import context, recv, sync


async def worker(ctx: context.Context, n: int, jobs: gopark.Chan, report: gopark.Chan) -> None:
    count = 0
    while True:
        index, _, _ = await gopark.select(recv(ctx.done()), recv(jobs))
        if index == 0:
            await report.send(f"worker {n} stops: {context.cause(ctx)}")
            return
        count += 1


async def main() -> None:
    ctx, cancel = context.with_cancel_cause(context.background())
    jobs, report = gopark.Chan(), gopark.Chan(4)
    wg = sync.WaitGroup()
    for n in range(4):
        wg.go(worker, ctx, n, jobs, report)
    for i in range(20):
        await jobs.send(i)
    cancel(ValueError("enough"))
    await wg.wait()
    report.close()
    for line in sorted([line async for line in report]):
        print(line)


gopark.run(main)
