"""A program that waits for the first callback of a C library is not dead. gopark's own."""

from ctypes import CFUNCTYPE, c_int

import gopark
from registry import library, register

prototype = CFUNCTYPE(c_int, c_int)


@register("FirstCallbackExport")
async def first_callback_export() -> None:
    """An exported function may be called for ever."""
    ch = gopark.Chan()

    @gopark.cgo.export(prototype)
    async def called(n: int) -> int:
        await ch.send(n)
        return 0

    assert library("thread").start_late(called, 7) == 0
    print(await ch.recv())


@register("FirstCallback")
def first_callback() -> None:
    """The same with a `callback` that the program keeps, and a plain main."""
    ch = gopark.Chan()
    called = prototype(gopark.cgo.callback(lambda n: gopark.block(ch.send(n)) or 0))
    assert library("thread").start_late(called, 7) == 0
    print(gopark.block(ch.recv()))


@register("WaitsForCallback")
async def waits_for_callback() -> None:
    """Nobody will ever call, and nobody can know that."""
    callback = gopark.cgo.callback(print)
    print("waiting", flush=True)
    await gopark.Chan().recv()
    callback()
