"""GOPARKDEBUG=schedtrace: the lines are Go's, and tell what the program does."""

from __future__ import annotations

import itertools
import re
import subprocess
import textwrap

import pytest

from gotool import built
from harness import TESTDATA, TIMEOUT, run_python

GO_PROGRAM = TESTDATA.parent / "conformance" / "go" / "ticker.go"

PROGRAM = """
import time
import gopark

async def waits():
    await gopark.Chan().recv()

async def main():
    gopark.runtime.gomaxprocs(2)
    gopark.runtime.lock_os_thread()
    gopark.go(waits)
    await gopark.testing.wait_all_parked()
    for _ in range(4):
        await gopark.time.sleep(0.02)
    time.sleep(0.05)

gopark.run(main)
"""

BRIEF = re.compile(
    r"SCHED (\d+)ms: gomaxprocs=\d+ idleprocs=\d+ threads=\d+ spinningthreads=\d+ needspinning=\d+"
    r" idlethreads=\d+ runqueue=\d+ \[ (\d+ )+\] schedticks=\[ (\d+ )+\]"
)
DETAILED = [
    re.compile(pattern)
    for pattern in (
        r"SCHED \d+ms: gomaxprocs=\d+ idleprocs=\d+ threads=\d+ spinningthreads=\d+"
        r" needspinning=\d+ idlethreads=\d+ runqueue=\d+ gcwaiting=false nmidlelocked=-?\d+"
        r" stopwait=\d+ sysmonwait=(true|false)",
        r"  P\d+: status=\d schedtick=\d+ syscalltick=\d+ m=(\d+|nil) runqsize=\d+ gfreecnt=\d+"
        r" timerslen=\d+",
        r"  M\d+: p=(\d+|nil) curg=(\d+|nil) mallocing=\d+ throwing=\d+ preemptoff= locks=\d+"
        r" dying=\d+ spinning=(true|false) blocked=(true|false) lockedg=(\d+|nil)",
        r"  G\d+: status=\d\(.*\) m=(\d+|nil) lockedm=(\d+|nil)",
    )
]


def traced(setting):
    ended = run_python(["-c", textwrap.dedent(PROGRAM)], env={"GOPARKDEBUG": setting})
    assert (ended.stdout, ended.status) == ("", 0), ended
    return ended.stderr.splitlines()


def test_a_line_at_the_start_and_one_in_each_period():
    lines = traced("schedtrace=20")
    at = [int(BRIEF.fullmatch(line)[1]) for line in lines]
    assert at[0] == 0
    assert len(at) > 2
    assert all(b - a >= 19 for a, b in itertools.pairwise(at))  # idle or not; rounded


def test_in_detail_every_p_m_and_goroutine():
    lines = traced("schedtrace=10,scheddetail=1")
    assert all(any(p.fullmatch(line) for p in DETAILED) for line in lines), lines
    assert any(re.match(r"  G\d+: status=4\(chan receive\) m=nil", line) for line in lines)
    assert any(re.match(r"  G1: status=\d\(.*\) m=(\d+) lockedm=\1$", line) for line in lines)
    assert any("lockedg=1" in line for line in lines)


def test_a_period_that_is_none_prints_nothing():
    assert traced("schedtrace=0") == traced("schedtrace=often") == []


def test_without_it_nothing_of_it_is_loaded():
    program = "import gopark, sys; sys.exit('gopark._runtime.check.schedtrace' in sys.modules)"
    assert run_python(["-c", program]).status == 0


@pytest.mark.parametrize(
    ("setting", "patterns"), [("schedtrace=5", [BRIEF]), ("schedtrace=5,scheddetail=1", DETAILED)]
)
def test_real_go_prints_lines_of_the_same_form(setting, patterns):
    """Go 1.27 prints nmidlelocked=-1 where the trace is taken amid the hand-over of a thread."""
    done = subprocess.run(
        [str(built(GO_PROGRAM))],
        env={"GODEBUG": setting},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    whole = done.stderr.rpartition("\n")[0]  # it ends in the midst of a line now and then
    lines = [line for line in whole.splitlines() if line]
    assert lines
    assert all(any(p.fullmatch(line) for p in patterns) for line in lines), lines
