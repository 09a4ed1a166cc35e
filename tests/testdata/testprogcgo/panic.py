"""Panics on threads that C made, and panics whose text comes from C.

Go: testprogcgo/threadpanic.go, deadlock.go (CgoPanicDeadlock).
"""

from ctypes import CFUNCTYPE, c_char_p, c_int

import gopark
from registry import library, register

prototype = CFUNCTYPE(c_int, c_int)


@gopark.cgo.export(prototype)
def boom(_: int) -> int:
    raise RuntimeError("BOOM")


@register("CgoExternalThreadPanic")
async def cgo_external_thread_panic() -> None:
    library("thread").start_thread(boom, 0, 1)
    await gopark.select()


@register("PanicNoRun", run=False)
def panic_no_run() -> None:
    """Nobody called `run`, so there is no one to raise the error: the process ends."""
    library("thread").call_on_new_thread(boom, 0)
    print("not reached")


class CgoError(Exception):
    """Its text lives in C."""

    def __str__(self) -> str:
        error_text = library("errortext").error_text
        error_text.restype = c_char_p
        return gopark.cgo.call(error_text).decode()


async def fail() -> None:
    raise CgoError


@register("CgoPanicDeadlock")
async def cgo_panic_deadlock() -> None:
    gopark.go(fail)
    await gopark.select()
