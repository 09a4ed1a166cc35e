"""What does not stay in its bubble: each of these programs dies of it."""

import gopark
from gopark import Chan, recv, select
from gopark.sync import Cond, Mutex, WaitGroup
from gopark.testing import synctest
from gopark.time import Timer, after_func
from registry import register

# --- Cond: a wake-up from outside -------------------------------------------------------------


def other_bubble(wake):
    synctest.test(wake)


def no_bubble(wake):
    wake()


def _cond(name, wake, where):
    async def main():
        cond, ready = Cond(Mutex()), Chan()

        async def waits():
            async with cond.locker:
                await cond.wait()

        async def bubble():
            gopark.go(waits)
            await synctest.wait()
            await ready.recv()  # it waits
            await ready.recv()  # the other has done what it should not
            cond.signal()

        async with WaitGroup() as wg:
            wg.go(synctest.test, bubble)
            await ready.send(None)
            where(getattr(cond, wake))
            await ready.send(None)

    register(name)(main)


for _wake in ("signal", "broadcast"):
    for _where in (no_bubble, other_bubble):
        _cond(f"SynctestCond/{_wake}/{_where.__name__}", _wake, _where)


# --- what belongs to a bubble, used outside ---------------------------------------------------


def _moved(name, make, use):
    """`make` in a bubble, `use` outside; and in another bubble."""

    async def outside():
        handed, done = Chan(), Chan()

        async def bubble():
            await handed.send(make())

        async def user():
            await use(await handed.recv())
            done.close()

        gopark.go(user)
        synctest.test(bubble)
        await done.recv()

    async def different():
        handed = Chan(1)

        async def bubble():
            await handed.send(make())

        synctest.test(bubble)
        made = await handed.recv()
        synctest.test(use, made)

    register(f"Synctest/{name}/outside_bubble")(outside)
    register(f"Synctest/{name}/different_bubble")(different)


async def _recv(ch):
    await ch.recv()


async def _recv_ok(ch):
    await ch.recv_ok()


async def _try_recv(ch):
    ch.try_recv()


async def _send(ch):
    await ch.send(None)


async def _try_send(ch):
    ch.try_send(None)


async def _close(ch):
    ch.close()


async def _select(ch):
    await select(recv(ch), recv(Chan()), default=True)


for _use in (_recv, _recv_ok, _try_recv, _send, _try_send, _close, _select):
    _moved(f"chan{_use.__name__}", Chan, _use)


async def _read(timer):
    await timer.c.recv()


async def _reset(timer):
    timer.reset(1)


async def _stop(timer):
    timer.stop()


for _use in (_read, _reset, _stop):
    _moved(f"timer{_use.__name__}", lambda: Timer(1), _use)
for _use in (_reset, _stop):
    _moved(f"func{_use.__name__}", lambda: after_func(1, print, "never"), _use)


# --- WaitGroup --------------------------------------------------------------------------------


@register("Synctest/waitgroup/into")
async def _():
    wg = WaitGroup()
    wg.add(1)
    synctest.test(wg.add, 1)


@register("Synctest/waitgroup/out")
async def _():
    wg = WaitGroup()
    synctest.test(wg.add, 1)
    wg.add(1)


@register("Synctest/waitgroup/between")
async def _():
    wg = WaitGroup()
    synctest.test(wg.add, 1)
    synctest.test(wg.add, 1)


# --- a deadlock in a bubble -------------------------------------------------------------------


def worker(ch):
    gopark.block(ch.recv())


async def stuck():
    ch = Chan()
    gopark.go(worker, ch)
    await gopark.time.sleep(60)
    await ch.recv()


@register("Synctest/deadlock")
async def _():
    """In a goroutine other than main: a panic that shows those of the bubble, and no others."""
    never = Chan()
    gopark.go(never.recv)
    gopark.go(synctest.test, stuck)
    await never.recv()
