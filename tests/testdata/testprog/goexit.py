"""Programs whose goroutines leave by goexit, main among them.

Go: testprog/deadlock.go.
"""

import gc
import sys
import weakref

import gopark
from registry import register


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

    class Finalised:
        pass

    def println(text: str) -> None:
        print(text, file=sys.stderr)

    async def sleeps() -> None:
        await gopark.time.sleep(0.001)

    println("t1")
    gopark.go(sleeps)
    thing = Finalised()
    thing.itself = thing  # type: ignore[attr-defined]
    println("t2")
    weakref.finalize(thing, print, "finalised")
    println("t3")
    del thing
    gc.collect()
    println("t4")
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
    """An exception of main would go to the caller of `run`, so another one leaves."""

    async def leave() -> None:
        try:
            gopark.goexit()
        finally:
            hello()

    gopark.go(leave)
    await gopark.select()


def hello() -> None:
    raise RuntimeError("hello")


@register("RecoveredPanicAfterGoexit")
async def recovered_panic_after_goexit() -> None:
    try:
        gopark.goexit()
    finally:
        try:
            hello()
        except RuntimeError as error:
            print("recovered", error)


@register("RecoverBeforePanicAfterGoexit")
async def recover_before_panic_after_goexit() -> None:
    """What a `finally` block raises takes the place of goexit, and is caught: it still leaves."""
    try:
        try:
            gopark.goexit()
        finally:
            hello()
    except RuntimeError as error:
        print("recovered", error)
    await gopark.gosched()


@register("RecoverBeforePanicAfterGoexit2")
async def recover_before_panic_after_goexit_2() -> None:
    """The same among cleanups that a loop has registered, which do nothing."""
    from contextlib import ExitStack

    with ExitStack() as defers:
        for _ in range(2):
            defers.callback(lambda: None)

        def recovers(_: object, error: BaseException | None, __: object) -> bool:
            print("recovered", error)
            return True

        defers.push(recovers)
        defers.callback(hello)
        gopark.goexit()


@register("RecoverFramesAwayAfterGoexit")
async def recover_frames_away_after_goexit() -> None:
    """The same through several frames, each with something to do on its way out."""

    async def inner(depth: int) -> None:
        try:
            if depth:
                await inner(depth - 1)
            gopark.goexit()
        finally:
            hello()

    try:
        await inner(3)
    except RuntimeError as error:
        print("recovered", error)
