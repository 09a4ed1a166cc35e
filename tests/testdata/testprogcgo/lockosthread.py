"""A goroutine that ends while locked to its thread takes the thread with it.

Go: testprogcgo/lockosthread.go.
"""

import os
import threading

import gopark
from registry import register


@register("LockOSThreadMain")
async def lock_os_thread_main() -> None:
    """Run with GOMAXPROCS=1, so that the next goroutine is on this thread, the process's main."""
    assert gopark.runtime.gomaxprocs() == 1
    main_thread = threading.main_thread().ident
    assert threading.get_ident() == main_thread
    ready = gopark.Chan(1)

    async def stays() -> None:
        gopark.runtime.lock_os_thread()
        assert threading.get_ident() == main_thread, "not started on the main thread"
        await ready.send(True)

    gopark.go(stays)
    await ready.recv()
    await gopark.testing.wait_all_parked()
    assert threading.get_ident() != main_thread, "main runs on a thread that has ended"
    print("OK")


@register("LockOSThreadAlt")
async def lock_os_thread_alt() -> None:
    """Main sits on the main thread, so the other goroutine has a thread that can end."""
    gopark.runtime.lock_os_thread()
    sub_thread = gopark.Chan(1)

    async def ends_locked() -> None:
        gopark.runtime.lock_os_thread()
        await sub_thread.send(threading.get_native_id())

    gopark.go(ends_locked)
    native = await sub_thread.recv()
    gopark.runtime.unlock_os_thread()
    while os.path.exists(f"/proc/self/task/{native}"):
        assert threading.get_native_id() != native, "the locked thread was reused"
        await gopark.time.sleep(0.001)
    print("OK")
