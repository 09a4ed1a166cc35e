"""C that is still there when the program, or the whole process, comes to its end.

Go: testprogcgo/destructor.go; the others are gopark's own.
"""

import atexit
import sys
import threading
from ctypes import CFUNCTYPE, c_int, c_void_p

import gopark
from registry import library, register

prototype = CFUNCTYPE(c_int, c_int)
keep: list[object] = []  # C has a pointer to it


@register("DestructorCallback")
def destructor_callback() -> None:
    callback = gopark.cgo.export(prototype)(lambda n: n)
    library("destructor").register_destructor(callback)
    print("OK")


@register("DestructorCallbackUsed")
def destructor_callback_used() -> None:
    """The same where the thread has had callbacks before, its own and those of a C thread."""
    callback = gopark.cgo.export(prototype)(lambda n: n)
    assert gopark.cgo.call(library("thread").call_on_new_thread, callback, 5) == 5
    assert gopark.cgo.call(library("thread").call_here, callback, 6) == 6
    library("destructor").register_destructor(callback)
    print("OK")


@register("ParkedCallbackAtEnd", run=False)
def parked_callback_at_end() -> None:
    """A callback that waits when main returns is woken, so that C has its thread back."""
    lib = library("thread")
    lib.start_thread.restype = c_void_p
    lib.join_thread.argtypes = (c_void_p,)
    never = gopark.Chan()
    unwound = []

    def parks(n: int) -> int:
        try:
            gopark.block(never.recv())
        except gopark.ProgramEnded as exc:
            unwound.append(str(exc))
            raise
        return n

    async def main() -> object:
        entered = gopark.Chan()

        def enter(n: int) -> int:
            gopark.block(entered.send(None))
            return parks(n)

        job = lib.start_thread(gopark.cgo.export(prototype)(enter), 9, 1)
        await entered.recv()
        await gopark.testing.wait_all_parked()
        assert gopark.runtime.num_goroutine() == 2
        return job

    job = gopark.run(main)
    assert lib.join_thread(job) == 0, "a callback that could not finish returns zero"
    assert len(unwound) == 1, unwound
    assert "ended" in unwound[0], unwound
    assert gopark.runtime.num_goroutine() == 0
    print("OK")


@register("ParkedCallbackAtExit")
async def parked_callback_at_exit() -> None:
    """The same, and nobody waits for the thread: the process ends."""
    never = gopark.Chan()
    callback = gopark.cgo.export(prototype)(lambda n: gopark.block(never.recv()))
    for _ in range(3):
        library("thread").start_thread(callback, 0, 1)
    while gopark.runtime.num_goroutine() < 4:
        await gopark.gosched()
    await gopark.testing.wait_all_parked()
    print("OK")


@register("CallsAfterRun", run=False)
def calls_after_run() -> None:
    """A C thread goes on calling when `run` is over, and gets its answers."""
    lib = library("thread")
    seen = threading.Semaphore(0)

    @gopark.cgo.export(prototype)
    def count(_: int) -> int:
        assert gopark.runtime.num_goroutine() >= 1
        seen.release()
        return 0

    async def main() -> None:
        lib.start_forever(count)
        while not seen.acquire(blocking=False):
            await gopark.time.sleep(0.0001)

    gopark.run(main)
    for _ in range(20):
        seen.acquire()
    print("OK")


@register("CallsWhileExiting")
async def calls_while_exiting() -> None:
    """Several C threads call all the time while the interpreter goes down."""
    lib = library("thread")
    inside = set()

    @gopark.cgo.export(prototype)
    def busy(_: int) -> int:
        inside.add(threading.get_ident())
        return sum(range(10))

    for _ in range(4):
        lib.start_forever(busy)
    while len(inside) < 4:
        await gopark.time.sleep(0.0001)
    print("OK")
    sys.stdout.flush()


@register("CallsWhileExitingNoRun", run=False)
def calls_while_exiting_no_run() -> None:
    """The same in a program that never calls `run`."""
    seen = threading.Semaphore(0)
    callback = gopark.cgo.export(prototype)(lambda _: seen.release() or 0)
    library("thread").start_forever(callback)
    for _ in range(10):
        seen.acquire()
    print("OK")
    sys.stdout.flush()


def _joined_at_exit(callback: object, values: "gopark.Chan[int]") -> None:
    """The library is stopped at exit, and joins its thread while that is in a callback, waiting."""
    lib = library("thread")

    async def main() -> None:
        assert lib.start_until(callback) == 0
        for _ in range(5):
            await values.recv()

    gopark.run(main)
    atexit.register(lib.stop_and_join)
    print("OK")
    sys.stdout.flush()


@register("JoinedAtExit", run=False)
def joined_at_exit() -> None:
    """Nobody is left to receive what the callback sends."""
    values: gopark.Chan[int] = gopark.Chan()

    @gopark.cgo.export(prototype)
    async def sends(n: int) -> int:
        await values.send(n)
        return 1

    _joined_at_exit(sends, values)


@register("JoinedAtExitUnwrapped", run=False)
def joined_at_exit_unwrapped() -> None:
    """The same with a plain ctypes callback that waits in `block`."""
    values: gopark.Chan[int] = gopark.Chan()

    @prototype
    def sends(n: int) -> int:
        try:
            gopark.block(values.send(n))
        except gopark.ProgramEnded:
            return 0
        return 1

    keep.append(sends)
    _joined_at_exit(sends, values)


@register("JoinedAtExitLocked", run=False)
def joined_at_exit_locked() -> None:
    """It waits for a lock that nobody gives back, and after that for time to pass."""
    values: gopark.Chan[int] = gopark.Chan()
    mu = gopark.sync.Mutex()

    @gopark.cgo.export(prototype)
    async def waits(n: int) -> int:
        await values.send(n)
        async with mu:
            await gopark.time.sleep(3600)
        return 1

    async def lock() -> None:
        await mu.lock()

    gopark.run(lock)
    lib = library("thread")
    assert lib.start_until(waits) == 0
    assert gopark.run(values.recv) == 0
    atexit.register(lib.stop_and_join)
    print("OK")
    sys.stdout.flush()


@register("ServedAtExit", run=False)
def served_at_exit() -> None:
    """What waits at exit is served all the same: by a thread that is joined, and by atexit."""
    lib = library("thread")
    values: gopark.Chan[int] = gopark.Chan()
    got: list[int] = []

    @gopark.cgo.export(prototype)
    async def sends(n: int) -> int:
        await values.send(n)
        return 1

    def slow() -> None:
        threading.main_thread().join()
        for _ in range(3):
            threading.Event().wait(0.15)
            got.append(gopark.block(values.recv()))

    async def more() -> None:
        for _ in range(3):
            await gopark.time.sleep(0.15)
            got.append(await values.recv())

    def last() -> None:
        gopark.block(more())
        gopark.run(more)
        lib.stop_and_join()
        print("OK" if got == [*range(9)] else got)
        sys.stdout.flush()

    assert lib.start_until(sends) == 0
    threading.Thread(target=slow).start()
    atexit.register(last)
