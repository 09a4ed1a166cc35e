"""Panics: what is printed of one exception, and of those that it came out of.

An exception of main goes to the caller of `run`, so all this happens in a goroutine.

Go: testprog/deadlock.go, crash.go, panicrace.go.
"""

import gc
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
    def one() -> None:
        try:
            two()
        except RuntimeError as error:
            print(error)

    def two() -> None:
        try:
            raise RuntimeError("first panic")
        except RuntimeError as error:
            print(error)
            raise RuntimeError("second panic") from None

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


# --- values that do something as they are printed ----------------------------------------


class ThatYields(Exception):
    def __str__(self) -> str:
        gopark.block(gopark.gosched())
        return "yielded"


@register_goroutine("GoschedInPanic")
async def gosched_in_panic() -> None:
    raise ThatYields


class ThatPrints(Exception):
    def __str__(self) -> str:
        print("1")
        print("2")
        return "3"


@register_goroutine("SyscallInPanic")
async def syscall_in_panic() -> None:
    raise ThatPrints


class ThatFails(Exception):
    def __str__(self) -> str:
        raise RuntimeError("important multi-line\nerror message")


@register_goroutine("ErrorPanic")
async def error_panic() -> None:
    raise ThatFails


class ThatFailsTwice(Exception):
    def __str__(self) -> str:
        raise ThatFails


@register_goroutine("DoubleErrorPanic")
async def double_error_panic() -> None:
    raise ThatFailsTwice


class Loop(Exception):
    def __str__(self) -> str:
        raise Loop


@register_goroutine("PanicLoop")
async def panic_loop() -> None:
    raise Loop


# --- panics and main ---------------------------------------------------------------------


@register("PanicRace")
async def panic_race() -> None:
    """Main returns while the report of a panic is being made: the report comes first."""
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


@register("GoNil")
async def go_nil() -> None:
    """Go dies of this; here it is an error of the caller, at the `go` line."""
    try:
        gopark.go(None)
    except TypeError as error:
        print(error)


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
