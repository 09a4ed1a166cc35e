"""GOPARKDEBUG=tracebackancestors=N. Go: runtime/crash_test.go, TestTracebackAncestors."""

from __future__ import annotations

import re

import pytest

from harness import TESTDATA, run

GENERATIONS = 3
FILE = str(TESTDATA / "testprog" / "stacks.py")
CALLS = "stacks.recurse_then_call_go(...)\n\tFILE\n" * 3
STARTED = "created by stacks.recurse_then_call_go"


@pytest.mark.go("runtime", "TestTracebackAncestors")
@pytest.mark.go("runtime/testdata/testprog", "TracebackAncestors")
@pytest.mark.parametrize("depth", [0, 1, 5, 50])
def test_traceback_ancestors(depth):
    ended = run(
        "testprog",
        "TracebackAncestors",
        env={"GOPARKDEBUG": f"tracebackancestors={depth}", "GOMAXPROCS": "1"},
    )
    assert (ended.stderr, ended.status) == ("", 0)
    main, last = re.sub(rf"\t{re.escape(FILE)}:\d+", "\tFILE", ended.stdout).split("\n\n")
    assert main == "goroutine 1 [running]:\nstacks.traceback_ancestors(...)\n\tFILE"
    ids = [GENERATIONS + 1 - n for n in range(GENERATIONS + 1)]  # 4, started by 3, by 2, by 1
    want = (
        f"goroutine {ids[0]} [chan receive]:\nstacks.recurse_then_call_go(...)\n\tFILE\n"
        f"{STARTED} in goroutine {ids[1]}\n\tFILE\n"
    )
    for goid in ids[1 : depth + 1]:
        want += f"[originating from goroutine {goid}]:\n{CALLS}"
        want += "stacks.traceback_ancestors(...)\n\tFILE\n" if goid == 1 else f"{STARTED}\n\tFILE\n"
    assert last == want


@pytest.mark.parametrize("value", ["", "many", "-1"])
def test_a_number_of_ancestors_that_is_none_says_nothing(child, value):
    result = child(
        "import gopark\n"
        "async def waits(ch):\n"
        "    await ch.recv()\n"
        "async def main():\n"
        "    gopark.go(waits, gopark.Chan())\n"
        "    await gopark.testing.wait_all_parked()\n"
        "    print('originating' in gopark.runtime.stack(all=True))\n"
        "gopark.run(main)\n",
        GOPARKDEBUG=f"tracebackancestors={value}",
    )
    assert (result.stdout, result.stderr) == ("False\n", "")


def test_each_of_many_goroutines_has_its_own_ancestors_also_when_its_g_was_anothers(child):
    """A G that has ended is used again; what is left of it must not show."""
    result = child(
        "import gopark\n"
        "async def waits(ch):\n"
        "    await ch.recv()\n"
        "async def starts(ch):\n"
        "    gopark.go(waits, ch)\n"
        "async def main():\n"
        "    for _ in range(3):\n"
        "        ch = gopark.Chan()\n"
        "        gopark.go(starts, ch)\n"
        "        await gopark.testing.wait_all_parked()\n"
        "        gopark.go(waits, ch)\n"
        "        await gopark.testing.wait_all_parked()\n"
        "        dump = gopark.runtime.stack(all=True)\n"
        "        print([part.count('originating') for part in dump.split('\\n\\n')])\n"
        "        ch.close()\n"
        "        await gopark.testing.wait_all_parked()\n"
        "gopark.run(main)\n",
        GOPARKDEBUG="tracebackancestors=9",
    )
    assert (result.stdout, result.stderr) == ("[0, 2, 1]\n" * 3, "")
