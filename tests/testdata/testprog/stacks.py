"""Programs whose stacks and crash reports are looked at.

Go: testprog/traceback_ancestors.go, finalizer_deadlock.go, crashdump.go; traceback_system_test.go,
runtime/debug/stack_test.go, example_monitor_test.go.
"""

import gc
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable

import gopark
from registry import register

# --- ancestors ---------------------------------------------------------------------------


@register("TracebackAncestors")
async def traceback_ancestors() -> None:
    """Three generations of goroutines, each started two calls deep."""
    w = gopark.Chan()
    await recurse_then_call_go(w, 3, 2)
    await w.recv()
    await gopark.testing.wait_all_parked()  # those in between are gone
    print(gopark.runtime.stack(all=True), end="")


async def recurse_then_call_go(w: gopark.Chan, goroutines: int, frames: int) -> None:
    if goroutines == 0:
        await w.send(None)
        await w.recv()
    elif frames == 0:
        gopark.go(recurse_then_call_go, w, goroutines - 1, 2)
    else:
        await recurse_then_call_go(w, goroutines, frames - 1)


# --- the crash output --------------------------------------------------------------------


@register("SetCrashOutput")
async def set_crash_output() -> None:
    with open(os.environ["CRASHOUTPUT"], "wb") as file:
        gopark.debug.set_crash_output(file)
    print("hello", file=sys.stderr, flush=True)
    gopark.go(oops)
    await gopark.select()


async def oops() -> None:
    raise ValueError("oops")


@register("CrashMonitor", run=False)
def crash_monitor() -> None:
    """A second copy of the program gets the report of a crash through a pipe, and keeps it."""
    if "CRASH_MONITOR" in os.environ:
        report = sys.stdin.buffer.read()
        if report:
            with open(os.environ["CRASHOUTPUT"], "wb") as file:
                file.write(report)
            print("monitor: saved crash report", file=sys.stderr)
        return
    monitor = subprocess.Popen(
        [sys.executable, *sys.argv],
        stdin=subprocess.PIPE,
        env=dict(os.environ, CRASH_MONITOR="1"),
    )
    gopark.debug.set_crash_output(monitor.stdin)

    async def main() -> None:
        print("hello", file=sys.stderr, flush=True)
        if "CRASH" in os.environ:
            gopark.go(oops)
            await gopark.select()

    try:
        gopark.run(main)
    finally:
        gopark.debug.set_crash_output(None)
        monitor.communicate()  # closes the pipe: the monitor sees the end of it


# --- how much a report shows -------------------------------------------------------------


@register("TracebackSystem")
async def traceback_system() -> None:
    """A crash a few calls deep in a goroutine, through awaits and plain calls."""
    gopark.debug.set_traceback("system")
    gopark.go(child1)
    await gopark.select()


async def child1() -> None:
    await child2()


async def child2() -> None:
    child3()


def child3() -> None:
    child4("not used")
    if os.environ["CRASH"] == "panic":
        child5()
    else:
        trap(None)


def child4(_: str) -> None:
    """Its frame is gone when the crash comes."""


def child5() -> None:
    raise ValueError("oops")


def trap(nothing: None) -> None:
    nothing.field = 42


@register("TracebackLevel")
async def traceback_level() -> None:
    """A panic while main and one more goroutine wait."""

    async def waits() -> None:
        await gopark.Chan().recv()

    gopark.go(waits)
    await gopark.testing.wait_all_parked()
    if "CRASH" in os.environ:
        gopark.go(oops)
    await gopark.select()


@register("TracebackRuntimeFunction")
async def traceback_runtime_function() -> None:
    gopark.go(asks_for_too_much)
    await gopark.select()


async def asks_for_too_much() -> None:
    gopark.runtime.set_max_threads("many")


@register("TracebackRuntimeMethod")
async def traceback_runtime_method() -> None:
    async def resets() -> None:
        gopark.time.Timer(1.0).reset("soon")

    gopark.go(resets)
    await gopark.select()


# --- finalisers --------------------------------------------------------------------------


def look(where: str) -> None:
    """Let the goroutines be seen, in the way the environment says."""
    if where == "stack":
        print(gopark.runtime.stack(all=True), end="")
    else:
        raise ValueError("panic")


@register("FinalizerDeadlock")
async def finalizer_deadlock() -> None:
    """An async generator that nobody finished is closed by a goroutine, which here waits."""
    started = gopark.Chan()

    async def numbers():
        try:
            yield 1
        finally:
            await started.send(None)
            await gopark.select()

    async for _ in numbers():
        break
    gc.collect()
    await started.recv()
    await gopark.testing.wait_all_parked()
    gopark.go(look, os.environ["LOOK"])
    if os.environ["LOOK"] == "panic":
        await gopark.select()
    await gopark.testing.wait_all_parked()


@register("CleanupDeadlock")
async def cleanup_deadlock() -> None:
    """A cleanup runs on top of the goroutine that let go of the object; here it waits for ever."""

    class Thing:
        pass

    def cleanup() -> None:
        try:
            gopark.block(gopark.select())
        except gopark.ProgramEnded:
            pass

    def lets_go() -> None:
        thing = Thing()
        weakref.finalize(thing, cleanup)

    gopark.go(lets_go)
    await gopark.testing.wait_all_parked()
    gopark.go(look, os.environ["LOOK"])
    if os.environ["LOOK"] == "panic":
        await gopark.select()
    await gopark.testing.wait_all_parked()


# --- all threads -------------------------------------------------------------------------


def spin(started: Callable[[], None]) -> None:
    started()
    while True:
        pass


@register("CrashDumpsAllThreads")
async def crash_dumps_all_threads() -> None:
    """Four goroutines compute, each on a thread of its own, and main waits for SIGQUIT."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gopark.runtime.gomaxprocs(5)
    running = threading.Semaphore(0)
    for _ in range(4):
        gopark.go(spin, running.release)
    for _ in range(4):
        gopark.cgo.call(running.acquire)

    def say() -> None:
        while "goroutine 1 [select (no cases)]" not in gopark.runtime.stack(all=True):
            time.sleep(0.001)
        print("ready", flush=True)

    threading.Thread(target=say, daemon=True).start()
    await gopark.select()


@register("QuitHandled", run=False)
def quit_handled() -> None:
    """A handler that the program has set before `run` stays, and the system's comes back after."""

    async def main() -> None:
        quits = gopark.Chan(1)
        signal.signal(signal.SIGQUIT, lambda *_: quits.try_send("handled"))
        print("ready", flush=True)
        while not len(quits):
            await gopark.time.sleep(0.001)
        print(await quits.recv())

    gopark.run(gopark.gosched)
    print(signal.getsignal(signal.SIGQUIT) is signal.SIG_DFL)
    gopark.run(main)


# --- labels ------------------------------------------------------------------------------

LABELS = [
    ("foobar", "baz"),
    ("foobar", "baz", "fizzle", "bit"),
    ("foo_bar", "baz.", "/fizzle", "bit"),
    ("foobar:", "baz", "fizzle", "bit"),
    ("fizzle", "bit", "foobar", "baz\n"),
    ("fizzle", "b\033it", 'foo"ba\x00r', "baz\n"),
    ("fizzle", "\u1234\u03a3", "fooba\x00r", "baz\n"),
    ("fizz\tle", "\U00045678boop", "fooba\x00r", "baz\n"),
    ("fiz\\zl\re", "\U00045678boop", "fooba\x00r", "baz\n"),
    ("a b", "\x7f"),
]


@register("TracebackLabels")
async def traceback_labels() -> None:
    """Headers of main, of a goroutine that it starts, and of that one as it waits."""

    async def child() -> None:
        headers.append(gopark.runtime.stack().splitlines()[0])
        await release.recv()

    background = gopark.context.background()
    for pairs in LABELS:
        headers: list[str] = []
        release = gopark.Chan()
        ctx = gopark.pprof.with_labels(background, gopark.pprof.labels(*pairs))
        gopark.pprof.set_goroutine_labels(ctx)
        headers.append(gopark.runtime.stack().splitlines()[0])
        gopark.go(child)
        await gopark.testing.wait_all_parked()
        headers.append(gopark.runtime.stack(all=True).split("\n\n")[1].splitlines()[0])
        print(headers[0])
        for header in headers[1:]:
            assert header.startswith("goroutine ")
            assert not header.startswith("goroutine 1 ")
            print("goroutine N", header.split(" ", 2)[2])
        release.close()
        await gopark.testing.wait_all_parked()
    gopark.pprof.set_goroutine_labels(background)
    print(gopark.runtime.stack().splitlines()[0])


@register("PanicLabels")
async def panic_labels() -> None:
    async def fails(_: object) -> None:
        gopark.go(oops)

    await gopark.pprof.do(gopark.context.background(), gopark.pprof.labels("job", "failed"), fails)
    await gopark.select()


@register("LabelsOnThreads")
async def labels_on_threads() -> None:
    """Goroutines that wait on a thread: plain, locked, a callback, a thread of Python's."""

    def mark(name: str) -> None:
        pairs = gopark.pprof.labels("kind", name)
        ctx = gopark.pprof.with_labels(gopark.context.background(), pairs)
        gopark.pprof.set_goroutine_labels(ctx)

    def plain() -> None:
        mark("plain")
        gopark.block(release.recv())

    def inherits() -> None:
        gopark.block(release.recv())

    async def locked() -> None:
        gopark.runtime.lock_os_thread()
        mark("locked")
        await release.recv()

    async def waits() -> None:
        mark("thread")
        await release.recv()

    release = gopark.Chan()
    for fn in plain, locked:
        gopark.go(fn)
    mark("parent")
    gopark.go(inherits)
    thread = threading.Thread(target=gopark.cgo.callback(plain))
    thread.start()
    other = threading.Thread(target=lambda: gopark.block(waits()))
    other.start()
    while gopark.runtime.stack(all=True).count("[chan receive") < 5:
        await gopark.time.sleep(0.001)
    for part in gopark.runtime.stack(all=True).split("\n\n")[1:]:
        print(part.splitlines()[0].split(" ", 2)[2])
    release.close()
    for each in thread, other:
        gopark.cgo.call(each.join)
