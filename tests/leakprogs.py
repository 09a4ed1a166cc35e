"""Run a program of `testdata/leaks` on main, and see whom it leaves behind.

assert await leaked(cockroach584) == leaves_of(cockroach584)
assert await left(cockroach584) == []
"""

from __future__ import annotations

import re

import gopark
from gopark.debug import leaks
from gopark.testing import wait_all_parked
from testdata.leaks.stage import Program, leaves_of

__all__ = ("entry", "leaked", "leaves_of", "left")

_HEADER = re.compile(r"goroutine \d+ \[(.*) \(leaked\)\]:")
_NAME = re.compile(r"(?:testdata\.leaks\.\w+\.)?(.*)\(.*\)")


async def leaked(program: Program) -> list[str]:
    """What the finder says of the program with its mistake: `function [wait reason]`."""
    await program(False)
    await wait_all_parked()
    return sorted(entry(leak.stack) for leak in leaks())


async def left(program: Program) -> list[str]:
    """All that the repaired one leaves, leaked or not."""
    await program(True)
    await wait_all_parked()
    found = [entry(leak.stack) for leak in leaks()]
    stacks = gopark.runtime.stack(all=True).split("\n\n")
    return found + stacks[1:]


def entry(stack: str) -> str:
    """As Go's test names a leak: the function that the goroutine began with, and its wait."""
    header, *frames = stack.splitlines()
    began = max(i for i, line in enumerate(frames) if line.startswith("created by ")) - 2
    reason, name = _HEADER.fullmatch(header), _NAME.fullmatch(frames[began])
    assert reason is not None, stack
    assert name is not None, stack
    return f"{name[1]} [{reason[1]}]"
