"""Who may still wake the program: threads and callbacks that gopark knows nothing about."""

import gc  # on free-threaded builds nothing else frees what a sleeping thread has made
import threading

import gopark
from registry import register


@register("ThreadWakesMain")
async def thread_wakes_main() -> None:
    """A Python thread of the user's is alive, so this is no deadlock: it will send."""
    ch = gopark.Chan()

    def thread() -> None:
        asleep.wait(0.3)  # the others are all asleep for as long
        gopark.block(ch.send("OK"))

    asleep = threading.Event()
    threading.Thread(target=thread).start()
    print(await ch.recv())


@register("ThreadEndsThenDeadlock")
async def thread_ends_then_deadlock() -> None:
    """While the thread lives nothing is said; when it has ended without a word, it is."""

    def thread() -> None:
        never.wait(0.3)
        print("thread ends", flush=True)

    never = threading.Event()
    threading.Thread(target=thread).start()
    await gopark.Chan().recv()


@register("ThreadEndsThenDeadlockPlain")
def thread_ends_then_deadlock_plain() -> None:
    """The same where main waits on its own thread."""

    def thread() -> None:
        never.wait(0.3)
        print("thread ends", flush=True)

    never = threading.Event()
    threading.Thread(target=thread).start()
    gopark.block(gopark.Chan().recv())


@register("StrictDespiteThread")
async def strict_despite_thread() -> None:
    """strict_deadlock says that the thread will not help."""
    gopark.debug.strict_deadlock()
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    await gopark.Chan().recv()


@register("StrictDespiteCallback")
async def strict_despite_callback() -> None:
    gopark.debug.strict_deadlock()
    callback = gopark.cgo.callback(print)
    await gopark.Chan().recv()
    callback()


@register("CallbackFreed")
async def callback_freed() -> None:
    """A callback is alive and might be called; once it is freed, nobody can call it."""
    callbacks = [gopark.cgo.callback(print)]

    async def frees() -> None:
        await gopark.time.sleep(0.001)
        print("freed", flush=True)
        callbacks.clear()
        gc.collect()

    gopark.go(frees)
    await gopark.Chan().recv()


@register("CallbackFreedByThread")
async def callback_freed_by_thread() -> None:
    """The same, freed while every goroutine sleeps already."""
    callbacks = [gopark.cgo.callback(print)]

    def thread() -> None:
        never.wait(0.1)
        print("freed", flush=True)
        callbacks.clear()
        gc.collect()

    never = threading.Event()
    threading.Thread(target=thread).start()
    await gopark.Chan().recv()
