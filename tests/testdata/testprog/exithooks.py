"""What runs as a process exits: Python's atexit, in place of Go's exit hooks.

Go: runtime/testdata/testexithooks.
"""

import atexit
import sys

import gopark
from registry import register


def hooks(*names: str) -> None:
    for name in names:
        atexit.register(print, name)


@register("ExitHooksSimple")
async def simple() -> None:
    hooks("foo", "bar")


@register("ExitHooksGoodExit")
async def good_exit() -> None:
    hooks("apple", "orange")
    sys.exit(0)


@register("ExitHooksBadExit")
async def bad_exit() -> None:
    hooks("blog", "blix", "blek", "blub", "blat")
    gopark.go(sys.exit, 1)
    await gopark.select()


@register("ExitHooksPanicked")
async def panicked() -> None:
    async def fails() -> None:
        raise RuntimeError("no exit")

    hooks("ok", "good")
    gopark.go(fails)
    await gopark.select()


@register("ExitHooksPanics")
async def panics() -> None:
    def bad() -> None:
        raise RuntimeError("BADBADBAD")

    hooks("ok")
    atexit.register(bad)
    hooks("good")
    sys.exit(0)


@register("ExitHooksCallsExit")
async def calls_exit() -> None:
    hooks("ok")
    atexit.register(sys.exit, 1)
    hooks("good")
    sys.exit(1)


@register("ExitHooksExit2")
async def exit2() -> None:
    hooks("once")
    for _ in range(10):
        gopark.go(sys.exit, 0)
    sys.exit(0)
