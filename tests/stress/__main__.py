"""Run stress programs for as long as you like, in children, in ever new settings.

    python -m tests.stress                          # a minute
    python -m tests.stress --hours 2                # over night; a failure does not stop it
    python -m tests.stress endings --seconds 300    # one program
    python -m tests.stress --python python3.13 --python /path/to/python3.13t

Each child runs programs.py for some seconds: with and without the checks of GOPARKDEBUG and
Python's development mode, on different interpreters if several are given. What fails is
printed with the command that repeats it, and the status is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO

PROGRAMS = pathlib.Path(__file__).with_name("programs.py")
SRC = PROGRAMS.parent.parent.parent / "src"
CHECKS = "checksched=1,lockrank=1"


def child(
    python: str, name: str, options: list[str], seconds: float, checked: bool
) -> tuple[int, list[str]]:
    """Run one child: how many programs it ran, and what went wrong, line by line."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SRC), os.getenv("PYTHONPATH", "")])}
    env["GOPARKDEBUG"] = CHECKS if checked else ""
    command = [python, *options, str(PROGRAMS), name, "--seconds", str(seconds)]
    # Files, not pipes: what a program forked and left behind would hold a pipe open for ever.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=err, start_new_session=True)
        status = process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        lines, errors = (read(file).splitlines() for file in (out, err))
    if status == 0 and lines and lines[-1].startswith("OK"):
        return int(lines[-1].split()[1]), []
    last = lines[-1] if lines else name
    debug = f"GOPARKDEBUG={CHECKS} " if checked else ""
    again = f"{debug}{' '.join(command[: len(options) + 2])} {last} --repeat 50"
    return 0, [f"status {status}: {again}", *errors]


def read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stress", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("program", nargs="?", default="all")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long, all in all")
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--each", type=float, default=10.0, help="seconds for each child")
    parser.add_argument("--python", action="append", help="an interpreter; may be repeated")
    args = parser.parse_args()
    deadline = time.monotonic() + (args.hours * 3600 or args.seconds)
    rng, failed, ran, programs = random.Random(), 0, 0, 0
    while time.monotonic() < deadline:
        python = rng.choice(args.python or [sys.executable])
        options = rng.choice([[], ["-X", "dev"], ["-X", "dev", "-W", "error"]])
        each = min(args.each, max(1.0, deadline - time.monotonic()))
        done, wrong = child(python, args.program, options, each, rng.random() < 0.5)
        ran += 1
        programs += done
        if wrong:
            failed += 1
            print("\n".join(wrong), flush=True)
    print(f"{programs} programs in {ran} children, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
