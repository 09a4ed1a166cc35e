"""Goroutines that are locked to their threads, and what becomes of those threads.

Go: testprog/lockosthread.go, threadexhaustion in crash.go.
"""

import ctypes
import os

import gopark
from registry import register

CLONE_FS = 0x200


@register("ThreadExhaustion")
async def thread_exhaustion() -> None:
    gopark.runtime.set_max_threads(10)

    async def locked() -> None:
        gopark.runtime.lock_os_thread()
        await gopark.select()

    for _ in range(20):
        gopark.go(locked)
        await gopark.gosched()
    print("not reached")


@register("LockOSThreadAvoidsStatePropagation")
async def lock_os_thread_avoids_state_propagation() -> None:
    """What a locked goroutine has done to its thread is seen on no other thread."""
    gopark.runtime.lock_os_thread()
    os.chdir("/")
    libc = ctypes.CDLL(None)
    tainted, done, seen = gopark.Chan(), gopark.Chan(), gopark.Chan()

    async def taints() -> None:
        gopark.runtime.lock_os_thread()
        if libc.unshare(CLONE_FS) != 0:
            await seen.send(None)
            return
        os.chdir("/tmp")
        for _ in range(3):
            gopark.go(looks)  # and on which thread? One that this thread would have to start
        tainted.close()
        gopark.cgo.call(libc.usleep, 1000)
        await done.recv()

    async def looks() -> None:
        gopark.runtime.lock_os_thread()
        await seen.send(os.getcwd())
        await done.recv()
        gopark.runtime.unlock_os_thread()

    gopark.go(taints)
    first = await seen.recv()
    if first is None:
        print("unshare not permitted")
        return
    assert [first, await seen.recv(), await seen.recv()] == ["/"] * 3
    done.close()
    gopark.runtime.unlock_os_thread()
    print("OK")
