import gopark
from gopark import recv
from gopark.time import Ticker, Timer


async def main() -> None:
    tick = Ticker(0.003)
    work = gopark.Chan()

    async def three() -> None:
        for i in range(3):
            await work.send(i)

    gopark.go(three)
    deadline = Timer(3600)
    ticks = jobs = 0
    late = False
    while not late or jobs < 3:
        index, value, _ = await gopark.select(recv(tick.c), recv(work), recv(deadline.c))
        if index == 0:
            ticks += 1
            if ticks == 3:
                tick.stop()
                deadline.reset(0.001)
        elif index == 1:
            jobs += 1
            print("job", value)
        else:
            late = True
    print("ticks", ticks, "jobs", jobs, "late", str(late).lower())


gopark.run(main)
