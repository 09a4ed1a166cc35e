"""Programs in which everybody waits, and programs whose main goroutine leaves.

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


# --- goexit ------------------------------------------------------------------------------


@register("GoexitDeadlock")
async def goexit_deadlock() -> None:
    async def work() -> None:
        for _ in range(10):
            await gopark.gosched()

    gopark.go(work)
    gopark.go(work)
    gopark.goexit()


@register("GoexitPlainMain")
def goexit_plain_main() -> None:
    """Main's thread stays with `run`, and the others go on until they are done."""

    async def work() -> None:
        await gopark.time.sleep(0.001)
        print("worked", flush=True)

    gopark.go(work)
    gopark.goexit()


@register("GoexitOthersWait")
async def goexit_others_wait() -> None:
    """Main has left and those that are there wait: they are asleep, not gone."""
    gopark.go(gopark.Chan().recv)
    gopark.goexit()


@register("GoexitExit")
async def goexit_exit() -> None:
    """A finaliser that the collector runs is no goroutine that could keep the program going."""
    import gc
    import weakref

    class Finalised:
        pass

    async def sleeps() -> None:
        await gopark.time.sleep(0.001)

    gopark.go(sleeps)
    thing = Finalised()
    weakref.finalize(thing, print, "finalised")
    del thing
    gc.collect()
    gopark.goexit()


@register("GoexitInPanic")
async def goexit_in_panic() -> None:
    async def fail() -> None:
        try:
            raise RuntimeError("hello")
        finally:
            gopark.goexit()

    gopark.go(fail)
    gopark.goexit()


@register("PanicAfterGoexit")
async def panic_after_goexit() -> None:
    async def leave() -> None:
        try:
            gopark.goexit()
        finally:
            raise RuntimeError("hello")

    gopark.go(leave)
    await gopark.select()


@register("RecoveredPanicAfterGoexit")
async def recovered_panic_after_goexit() -> None:
    try:
        gopark.goexit()
    finally:
        try:
            raise RuntimeError("hello")
        except RuntimeError:
            pass


@register("RecoverBeforePanicAfterGoexit")
async def recover_before_panic_after_goexit() -> None:
    try:
        try:
            gopark.goexit()
        finally:
            raise RuntimeError("hello")
    except RuntimeError:
        pass  # and goexit is still in force


@register("RecoverBeforePanicAfterGoexit2")
async def recover_before_panic_after_goexit_2() -> None:
    """The same through several frames, each with something to do on its way out."""

    async def inner(depth: int) -> None:
        try:
            if depth:
                await inner(depth - 1)
            gopark.goexit()
        finally:
            raise RuntimeError("hello")

    try:
        await inner(3)
    except RuntimeError:
        pass
