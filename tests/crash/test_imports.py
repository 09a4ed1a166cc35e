"""What importing the package brings in, and that nothing is missing when a program dies.

A program that has run out of descriptors, or whose interpreter is on its way out, can import
nothing any more. It wants to be told why all the same. And a module that is imported when a
thread first needs it hangs the child of a fork that comes in between.
"""

from __future__ import annotations

import gzip
import json

import pytest

from harness import run_python

# From here on nothing that is not there already can be imported.
CLOSED = """
import io, os, signal, sys
import gopark

class Closed:
    def find_spec(self, name, path=None, target=None):
        raise ImportError(f"too late for {name}")

async def wait():
    await gopark.Chan().recv()

def closed():
    sys.meta_path.insert(0, Closed())
"""

PROGRAMS = {
    "panic": (
        """
async def fail():
    raise ValueError("why")
async def main():
    closed()
    gopark.go(fail)
    await wait()
gopark.run(main)
""",
        ("panic: ValueError: why", "goroutine 2 [running]:"),
        2,
    ),
    "deadlock": (
        """
closed()
gopark.run(wait)
""",
        ("fatal error: all goroutines are asleep - deadlock!", "goroutine 1 [chan receive]:"),
        2,
    ),
    "quit": (
        """
async def main():
    gopark.go(wait)
    await gopark.testing.wait_all_parked()
    closed()
    os.kill(os.getpid(), signal.SIGQUIT)
    await gopark.time.sleep(1000)
gopark.run(main)
""",
        ("SIGQUIT: quit", "goroutine 2 [chan receive]:"),
        2,
    ),
    "stacks": (
        """
async def main():
    gopark.go(wait)
    await gopark.testing.wait_all_parked()
    closed()
    print(gopark.runtime.stack(all=True), file=sys.stderr)
    gopark.debug.print_stack()
    out = io.BytesIO()
    for name in gopark.pprof.profiles():
        for debug in (0, 1, 2):
            name.write_to(out, debug=debug)
    sys.stderr.write(out.getvalue().decode(errors="replace"))
    sys.exit(5)
gopark.run(main)
""",
        ("goroutine 2 [chan receive]:", "goroutine profile: total 2"),
        5,
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_can_import_nothing_is_told_all_the_same(name):
    program, lines, status = PROGRAMS[name]
    ended = run_python(["-c", CLOSED + program])
    assert "too late" not in ended.stderr
    for line in lines:
        assert line in ended.stderr
    assert ended.status == status


RECORDED = """
gopark.trace.start(sys.argv[1])
recorder = gopark.trace.FlightRecorder(on_panic=sys.argv[2])
recorder.start()

async def fail():
    raise ValueError("why")

async def main():
    closed()
    gopark.go(fail)
    await wait()

gopark.run(main)
"""


def test_its_traces_are_written_as_well(tmp_path):
    trace, recorder = tmp_path / "trace.json", tmp_path / "recorder.json.gz"
    ended = run_python(["-c", CLOSED + RECORDED, str(trace), str(recorder)])
    assert "could not be written" not in ended.stderr
    assert json.loads(trace.read_bytes())
    assert json.loads(gzip.decompress(recorder.read_bytes()))
    assert ended.status == 2


def test_the_import_brings_in_no_more_than_every_program_needs():
    """Each takes a millisecond or more, of fifty.

    What `traceback` brings in is Python's: from 3.15 on that is `pathlib`.
    """
    program = """
import sys, traceback
before = set(sys.modules)
import gopark
print(*{*sys.modules} - before)
"""
    ended = run_python(["-S", "-c", program])
    brought = set(ended.stdout.split())
    assert {"gopark.metrics", "gopark.pprof", "gopark.trace._write"} <= brought
    assert not brought & {
        "asyncio", "http", "importlib.resources", "ipaddress", "logging", "pathlib", "socket",
        "subprocess", "urllib.parse",
    }  # fmt: skip
