import gopark
from gopark import block, context, recv, sync


def worker(ctx: context.Context, n: int, jobs: gopark.Chan, report: gopark.Chan) -> None:
    count = 0
    while True:
        index, _, _ = block(gopark.select(recv(ctx.done()), recv(jobs)))
        if index == 0:
            block(report.send(f"worker {n} stops: {context.cause(ctx)}"))
            return
        count += 1


def main() -> None:
    ctx, cancel = context.with_cancel_cause(context.background())
    jobs, report = gopark.Chan(), gopark.Chan(4)
    wg = sync.WaitGroup()
    for n in range(4):
        wg.go(worker, ctx, n, jobs, report)
    for i in range(20):
        block(jobs.send(i))
    cancel(ValueError("enough"))
    block(wg.wait())
    report.close()
    for line in sorted(report):
        print(line)


gopark.run(main)
