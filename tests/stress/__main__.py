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
import os
import pathlib
import random
import subprocess
import sys
import time

PROGRAMS = pathlib.Path(__file__).with_name("programs.py")
SRC = PROGRAMS.parent.parent.parent / "src"
CHECKS = "checksched=1,lockrank=1"


def child(python: str, name: str, options: list[str], seconds: float, checked: bool) -> list[str]:
    """Run one child; the lines of what went wrong, none if nothing did."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SRC), os.getenv("PYTHONPATH", "")])}
    env["GOPARKDEBUG"] = CHECKS if checked else ""
    command = [python, *options, str(PROGRAMS), name, "--seconds", str(seconds)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, errors="replace")
    lines = done.stdout.splitlines()
    if done.returncode == 0 and lines and lines[-1].startswith("OK"):
        return []
    last = lines[-1] if lines else name
    debug = f"GOPARKDEBUG={CHECKS} " if checked else ""
    again = f"{debug}{' '.join(command[: len(options) + 2])} {last} --repeat 50"
    return [f"status {done.returncode}: {again}", *done.stderr.splitlines()]


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
    rng, failed, ran = random.Random(), 0, 0
    while time.monotonic() < deadline:
        python = rng.choice(args.python or [sys.executable])
        options = rng.choice([[], ["-X", "dev"], ["-X", "dev", "-W", "error"]])
        each = min(args.each, max(1.0, deadline - time.monotonic()))
        wrong = child(python, args.program, options, each, rng.random() < 0.5)
        ran += 1
        if wrong:
            failed += 1
            print("\n".join(wrong), flush=True)
    print(f"{ran} children, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
