"""Programs in which everybody waits.

Go: testprog/deadlock.go.
"""

import gopark
from registry import register


@register("SimpleDeadlock")
async def simple_deadlock() -> None:
    await gopark.select()
    raise AssertionError("not reached")


@register("InitDeadlock", run=False)
def init_deadlock() -> None:
    """A module that waits for ever as it is imported. Go's init has the main thread: so here."""

    def main() -> None:
        import initdeadlock.waits  # noqa: F401

    gopark.runtime.lock_os_thread()
    gopark.run(main)


@register("PlainDeadlock")
def plain_deadlock() -> None:
    gopark.block(gopark.Chan().recv())
    raise AssertionError("not reached")


@register("LockedDeadlock")
async def locked_deadlock() -> None:
    gopark.runtime.lock_os_thread()
    await gopark.select()


@register("LockedDeadlock2")
async def locked_deadlock_2() -> None:
    async def locked() -> None:
        gopark.runtime.lock_os_thread()
        await gopark.select()

    gopark.go(locked)
    await gopark.time.sleep(0.001)
    await gopark.select()


@register("MixedDeadlock")
async def mixed_deadlock() -> None:
    """One goroutine of each kind, each with a reason of its own."""
    ch = gopark.Chan()

    def plain() -> None:
        gopark.block(ch.recv())

    async def sender() -> None:
        await gopark.Chan().send(1)

    gopark.go(plain)
    gopark.go(sender)
    await gopark.testing.wait_all_parked()
    await gopark.select(gopark.recv(gopark.Chan()), gopark.send(gopark.Chan(), 1))


@register("DeadlockAfterSleep")
async def deadlock_after_sleep() -> None:
    """Somebody who sleeps keeps the program alive; then nobody does."""

    async def sleeper() -> None:
        await gopark.time.sleep(0.02)
        print("slept", flush=True)

    gopark.go(sleeper)
    await gopark.Chan().recv()


@register("DeadlockCaught", run=False)
def deadlock_caught() -> None:
    """What `run` raises is an exception like others, after the report; it can run again."""
    try:
        gopark.run(gopark.Chan().recv)
    except gopark.DeadlockError as error:
        assert isinstance(error, SystemExit)
        assert error.code == 2
        print(error)

    async def main() -> str:
        return "alive"

    print(gopark.run(main))
