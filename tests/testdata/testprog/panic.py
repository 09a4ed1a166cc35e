"""Panics: what is printed of one exception, and of those that it came out of.

An exception of main goes to the caller of `run`, so all this happens in a goroutine.

Go: testprog/deadlock.go, crash.go, panicrace.go.
"""

import gc
import itertools
from collections.abc import Callable

import gopark
from registry import register

Function = Callable[[], object]


def register_goroutine(name: str) -> Callable[[Function], Function]:
    """Register a program whose main starts the function and waits for ever."""

    def decorate(fn: Function) -> Function:
        async def main() -> None:
            gopark.go(fn)
            await gopark.select()

        register(name)(main)
        return fn

    return decorate


@register_goroutine("Panic")
async def panic() -> None:
    await deeper()


async def deeper() -> None:
    raise ValueError("oops")


@register_goroutine("PlainPanic")
def plain_panic() -> None:
    raise ValueError("oops")


@register_goroutine("RecursivePanic")
async def recursive_panic() -> None:
    try:
        try:
            raise RuntimeError("bad")
        except RuntimeError as error:
            raise RuntimeError(f"wrap: {error}") from error
    except RuntimeError as error:
        print(error)
    raise RuntimeError("again")


@register_goroutine("RecursivePanic2")
async def recursive_panic_2() -> None:
    try:
        try:
            raise RuntimeError("first panic")
        except RuntimeError as error:
            print(error)
        raise RuntimeError("second panic")
    except RuntimeError as error:
        print(error)
    raise RuntimeError("third panic")


@register_goroutine("RecursivePanic3")
async def recursive_panic_3() -> None:
    try:
        raise RuntimeError("first panic")
    finally:
        try:
            raise RuntimeError("second panic")
        except RuntimeError:
            pass


@register_goroutine("RecursivePanic4")
async def recursive_panic_4() -> None:
    try:
        raise RuntimeError("first panic")
    except RuntimeError:
        raise RuntimeError("second panic")  # noqa: B904 - the implicit chain is the point


@register_goroutine("RecursivePanic5")
async def recursive_panic_5() -> None:
    """Two handlers in one frame, one in a frame around it, and one frame that lets it pass."""

    def one() -> None:
        two()

    def two() -> None:
        try:
            three()
        finally:
            pass

    def three() -> None:
        try:
            try:
                raise RuntimeError("first panic")
            except RuntimeError as error:
                print(error)
                raise RuntimeError("second panic") from error
        except RuntimeError as error:
            print(error)
        finally:
            pass

    one()
    raise RuntimeError("third panic")


@register_goroutine("RepanickedPanic")
async def repanicked_panic() -> None:
    try:
        raise RuntimeError("message")
    except RuntimeError as error:
        raise error


@register_goroutine("RepanickedMiddlePanic")
async def repanicked_middle_panic() -> None:
    try:
        try:
            try:
                raise RuntimeError("inner")
            except RuntimeError:
                raise RuntimeError("middle")  # noqa: B904
        except RuntimeError as middle:
            raise middle
    except RuntimeError:
        raise RuntimeError("outer")  # noqa: B904


@register_goroutine("RepanickedPanicSandwich")
async def repanicked_panic_sandwich() -> None:
    try:
        try:
            raise RuntimeError("outer")
        except RuntimeError as error:
            outer = error
            raise RuntimeError("inner")  # noqa: B904
    except RuntimeError:
        raise outer  # noqa: B904


@register_goroutine("DoublePanicWithSameValue")
async def double_panic_with_same_value() -> None:
    error = RuntimeError("message")
    try:
        raise error
    finally:
        raise error


class Collects(Exception):
    """Tries to have what was printed before it collected."""

    def __str__(self) -> str:
        gc.collect()
        return str(self.args[0])


@register_goroutine("DoublePanic")
async def double_panic() -> None:
    try:
        raise Collects("XXX")
    finally:
        raise Collects("YYY")


@register_goroutine("PanicTraceback")
async def panic_traceback() -> None:
    pt1()


def pt1() -> None:
    try:
        pt2()
    finally:
        raise RuntimeError("panic pt1")


def pt2() -> None:
    try:
        raise RuntimeError("hello")
    finally:
        raise RuntimeError("panic pt2")


@register_goroutine("FromNone")
async def from_none() -> None:
    """`from None` says that the earlier exception does not matter."""
    try:
        raise RuntimeError("hidden")
    except RuntimeError:
        raise RuntimeError("shown") from None


@register_goroutine("StringPanic")
async def string_panic() -> None:
    raise RuntimeError("important multi-line\nstring message")


@register_goroutine("StackOverflow")
async def stack_overflow() -> None:
    def deeper() -> None:
        deeper()

    deeper()


@register_goroutine("stringconcat")
async def stringconcat() -> None:
    pieces = [str(n % 10) for n in range(4096)]
    raise RuntimeError("".join(pieces))


@register_goroutine("NilPanic")
async def nil_panic() -> None:
    nothing = None
    raise nothing  # type: ignore[misc]


# --- values that do something as they are printed ----------------------------------------


class ErrorThatGosched(Exception):
    def __str__(self) -> str:
        gopark.block(gopark.gosched())
        return "errorThatGosched"


@register_goroutine("GoschedInPanic")
async def gosched_in_panic() -> None:
    raise ErrorThatGosched


class ErrorThatPrints(Exception):
    def __str__(self) -> str:
        print("1")
        print("2")
        return "3"


@register_goroutine("SyscallInPanic")
async def syscall_in_panic() -> None:
    raise ErrorThatPrints


class PanicError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("double error")


@register_goroutine("PanicLoop")
async def panic_loop() -> None:
    raise PanicError


class ExampleError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("important multi-line\nerror message")


class ExamplePanicError(Exception):
    def __str__(self) -> str:
        raise ExampleError


class ExampleStringer:
    """No exception by itself, but the argument of one."""

    def __str__(self) -> str:
        raise RuntimeError("important multi-line\nstringer message")


class ExampleStringerError(Exception):
    def __init__(self) -> None:
        super().__init__(ExampleStringer())


class ExamplePanicStringer:
    def __str__(self) -> str:
        raise ExampleStringerError


class ExampleCircleStartError(Exception):
    def __str__(self) -> str:
        raise ExampleCircleEndError


class ExampleCircleEndError(Exception):
    def __str__(self) -> str:
        raise ExampleCircleStartError


def register_value(name: str, *args: object) -> None:
    async def fail() -> None:
        error, *values = args
        raise error(*values)  # type: ignore[operator]

    register_goroutine(name)(fail)


register_value("ErrorPanic", ExampleError)
register_value("StringerPanic", RuntimeError, ExampleStringer())
register_value("DoubleErrorPanic", ExamplePanicError)
register_value("DoubleStringerPanic", RuntimeError, ExamplePanicStringer())
register_value("CircularPanic", ExampleCircleStartError)


# --- fatal errors ------------------------------------------------------------------------


@register("GoNil")
async def go_nil() -> None:
    """A program that looks after it lives on; this does, and then it does not."""
    try:
        gopark.go(None)  # type: ignore[arg-type]
    except TypeError:
        print("alive")
    gopark.go(None)  # type: ignore[arg-type]


@register("GoNilInGoroutine")
async def go_nil_in_goroutine() -> None:
    """The same in a plain goroutine, by the slip that leads to it."""

    def work() -> None:
        pass

    def nil() -> None:
        gopark.go(work())  # type: ignore[func-returns-value]

    gopark.go(nil)
    await gopark.select()


@register_goroutine("panicDeferFatal")
async def panic_defer_fatal() -> None:
    mu = gopark.sync.Mutex()
    try:
        raise ZeroDivisionError("nothing to divide by")
    finally:
        mu.unlock()


@register_goroutine("panicDoublieDeferFatal")
async def panic_doublie_defer_fatal() -> None:
    mu = gopark.sync.Mutex()
    try:
        try:
            raise ZeroDivisionError("nothing to divide by")
        except ZeroDivisionError as error:
            raise error
    finally:
        mu.unlock()


@register("RuntimePanic")
def runtime_panic() -> None:
    """A goroutine that waits is on a run queue: gopark has lost its wits, and says so."""
    from gopark._runtime.base.runtime2 import allgs
    from gopark._runtime.sched import startm

    async def waits() -> None:
        await gopark.Chan().recv()

    try:
        gopark.go(waits)
        gopark.block(gopark.testing.wait_all_parked())
        sched = startm.current()
        assert sched is not None
        sched.runq.extend(g for g in allgs.copy() if g.goid > 1)
        gopark.block(gopark.time.sleep(60))
    except BaseException:
        print("recovered")


# --- maps --------------------------------------------------------------------------------


@register("concurrentMapIterateWrite")
async def concurrent_map_iterate_write() -> None:
    numbers = {0: 0}

    async def writes() -> None:
        for n in itertools.count(1):  # the other may not have begun
            numbers[n] = n
            await gopark.gosched()

    async def iterates() -> None:
        while True:
            for _ in numbers:
                await gopark.gosched()

    gopark.go(writes)
    gopark.go(iterates)
    await gopark.select()


# --- panics and main ---------------------------------------------------------------------


@register("PanicRace")
async def panic_race() -> None:
    """Main returns as soon as a goroutine that panics lets it: the report comes first."""
    unwinding = gopark.Chan()

    async def crash() -> None:
        try:
            raise RuntimeError("crash")
        finally:
            unwinding.close()
            await gopark.gosched()

    gopark.go(crash)
    await unwinding.recv()


@register("PlainPanicRace")
def plain_panic_race() -> None:
    """The same among plain functions, of which the one that panics has a thread."""
    unwinding = gopark.Chan()

    def crash() -> None:
        try:
            raise RuntimeError("crash")
        finally:
            unwinding.close()
            gopark.block(gopark.gosched())

    gopark.go(crash)
    gopark.block(unwinding.recv())


@register("NoPanicRace")
async def no_panic_race() -> None:
    """Main waits for nobody who is in a `finally` block for another reason, or waits there."""
    started = gopark.Chan()

    async def forever() -> None:
        await started.send(None)
        while True:
            await gopark.gosched()

    async def in_finally() -> None:
        try:
            pass
        finally:
            await forever()

    async def in_except() -> None:
        try:
            raise RuntimeError("handled")
        except RuntimeError:
            await forever()

    async def leaves() -> None:
        try:
            gopark.goexit()
        finally:
            await forever()

    async def waits() -> None:
        try:
            raise RuntimeError("never seen")
        finally:
            await started.send(None)
            await gopark.Chan().recv()

    for fn in in_finally, in_except, leaves, waits:
        gopark.go(fn)
    for _ in range(4):
        await started.recv()
    await gopark.gosched()
    print("OK")


@register("PanicRaceInReport")
async def panic_race_in_report() -> None:
    """Main returns while the report of a panic is being made."""
    printing = gopark.Chan()

    class Crash(Exception):
        def __str__(self) -> str:
            printing.close()
            gopark.block(gopark.gosched())
            return "crash"

    def crash() -> None:
        raise Crash

    gopark.go(crash)
    await printing.recv()


@register("PanicsAtOnce")
async def panics_at_once() -> None:
    """Of several panics one is reported."""

    def fail(n: int) -> None:
        gopark.block(start.recv())
        raise RuntimeError(f"panic {n}")

    start = gopark.Chan()
    for n in range(8):
        gopark.go(fail, n)
    await gopark.testing.wait_all_parked()
    start.close()
    await gopark.select()


@register("PanicCaught", run=False)
def panic_caught() -> None:
    """`run` raises FatalError, with the exception as its cause."""
    error = KeyError("who")

    async def fail() -> None:
        raise error

    async def main() -> None:
        gopark.go(fail)
        await gopark.select()

    try:
        gopark.run(main)
    except gopark.FatalError as fatal:
        assert fatal.__cause__ is error
        assert fatal.code == 2
        print(fatal)


@register("MainException", run=False)
def main_exception() -> None:
    """Main's own exception passes through unchanged, and nothing is printed about it."""
    error = KeyError("mine")

    async def coroutine() -> None:
        gopark.go(gopark.Chan().recv)
        raise error

    def plain() -> None:
        gopark.go(gopark.Chan().recv)
        raise error

    for main in coroutine, plain:
        try:
            gopark.run(main)
        except KeyError as caught:
            assert caught is error
            print(main.__name__)


@register("MainExceptionUncaught")
async def main_exception_uncaught() -> None:
    raise KeyError("mine")


@register("MainGoroutineID")
async def main_goroutine_id() -> None:
    print(gopark.runtime.stack(all=True), end="")


@register("NoHelperGoroutines")
async def no_helper_goroutines() -> None:
    """Timers, finalisers and what else the runtime keeps busy do not show."""

    async def numbers():
        yield 1

    async for _ in numbers():
        break
    timer = gopark.time.after(3600)
    await gopark.testing.wait_all_parked()
    assert len(timer) == 0
    print(gopark.runtime.num_goroutine())
    print(gopark.runtime.stack(all=True), end="")


@register("Crash")
async def crash() -> None:
    """An exception caught on one thread after the other is nobody else's business."""

    def fails(name: str) -> None:
        try:
            _ = 1 // 0
        except ZeroDivisionError:
            print(f"{name}: recovered", end="")
        finally:
            print(" done")

    async def in_new_thread(name: str) -> None:
        async def locked() -> None:
            gopark.runtime.lock_os_thread()
            fails(name)
            done.close()

        done = gopark.Chan()
        gopark.go(locked)
        await done.recv()

    gopark.runtime.lock_os_thread()
    fails("main")
    await in_new_thread("new-thread")
    await in_new_thread("second-new-thread")
    fails("main-again")
