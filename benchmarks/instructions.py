"""How many instructions an operation takes, by valgrind's callgrind, beside what it may take.

    python -m benchmarks.instructions               the pure source and the twin (make twin)
    python -m benchmarks.instructions --write       what is counted becomes the limits
    python -m benchmarks.instructions --only spawn,pingpong --python python3.13

An instruction count says the same on a busy machine and on a quiet one, so it can be a gate: where
an operation takes 3 % more than `instructions.txt` says, the status is 1. That file has counts by
version of Python; another build of the same version may need other ones. An interpreter that it
does not know, or a machine without valgrind, is said, and no failure.

The workloads are those beside this file, gopark's side of them, on one P, each in two sizes: the
difference is what so many operations take, without the beginning and the end of a program. What is
added by the clock (a look of sysmon, a timer that was late) is only ever too much, so the least of
a few rounds counts, each after a collection. All of them run in one process for the pure source and
in one for the twin; callgrind writes down and zeroes its counts whenever that process calls
`getppid`.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.driver import ROOT

__all__ = ("main",)

LIMITS = ROOT / "benchmarks" / "instructions.txt"
SLACK = 1.03
ROUNDS = 3
# What is measured, and in which sizes.
SIZES = {
    "pingpong": (300, 1300),
    "spawn": (500, 2500),
    "buffered": (500, 2500),
    "giveway": (500, 2500),
    "ring": (500, 1500),
    "fanin": (500, 2500),
    "select8": (100, 300),
    "mutex": (500, 1500),
    "sleepers": (200, 700),
}
_HEADER = """\
# Instructions of one operation, at most: see instructions.py, which writes this file.
# Python, source, workload, count.
"""


def serve(names: list[str]) -> None:
    """In the process that is counted: a call of getppid before and after each run."""
    from benchmarks.workloads import load

    for name in names:
        side = load(name).sides["gopark"]
        side(SIZES[name][0])  # caches are warm, and what a workload imports is there
        for n in SIZES[name] * ROUNDS:
            gc.collect()
            os.getppid()
            side(n)
            os.getppid()
    sys.stdout.flush()
    os._exit(0)


def begin(python: str, twin: str, names: list[str], folder: Path) -> subprocess.Popen[str]:
    """Start it under callgrind, whose files go to `folder`."""
    env = {
        **os.environ,
        "GOPARK_TWIN": twin,
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        "GOMAXPROCS": "1",
    }
    valgrind = ["valgrind", "--tool=callgrind", "--dump-before=getppid", "-q"]
    valgrind += [f"--callgrind-out-file={folder}/out"]
    command = [*valgrind, python, "-m", "benchmarks.instructions", "--serve", ",".join(names)]
    return subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def counts(child: subprocess.Popen[str], names: list[str], folder: Path) -> dict[str, int]:
    """What it has counted: instructions of one operation, by workload."""
    said = child.communicate()[1]
    files = sorted(folder.glob("out.*"), key=lambda file: int(file.suffix[1:]))
    # The first one of each pair has what came before it.
    totals = [
        int(found[1])
        for file in files
        if (found := re.search(r"^totals: (\d+)", file.read_text(), re.MULTILINE)) is not None
    ][1::2][: 2 * ROUNDS * len(names)]
    if child.returncode or len(totals) != 2 * ROUNDS * len(names):
        raise SystemExit(f"callgrind has counted {len(totals)} runs, too few:\n{said}")
    found = {}
    for i, name in enumerate(names):
        runs = totals[2 * ROUNDS * i :][: 2 * ROUNDS]
        few, many = SIZES[name]
        found[name] = round((min(runs[1::2]) - min(runs[::2])) / (many - few))
    return found


Counts = dict[tuple[str, str, str], int]  # by version, source and workload


def limits() -> Counts:
    """What the file says."""
    found: Counts = {}
    for line in LIMITS.read_text(encoding="ascii").splitlines() if LIMITS.exists() else ():
        if line and not line.startswith("#"):
            version, source, name, count = line.split()
            found[version, source, name] = int(count)
    return found


def ask(python: str, program: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "GOPARK_TWIN": "1"}
    return subprocess.run(
        [python, "-c", program], env=env, capture_output=True, text=True, check=True
    ).stdout.strip()


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add("--only", default=",".join(SIZES), help="names of workloads, with commas between them")
    add("--python", default=sys.executable, help="the interpreter")
    add("--write", action="store_true", help="what is counted becomes the limits")
    add("--serve", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    options = parse(argv)
    if options.serve:
        return serve(options.serve.split(","))
    names = options.only.split(",")
    if unknown := [name for name in names if name not in SIZES]:
        raise SystemExit(f"no workload {', '.join(unknown)}: there are {', '.join(SIZES)}")
    if shutil.which("valgrind") is None:
        print("there is no valgrind here: nothing is counted")
        return
    version = ask(options.python, "import sys; print('%d.%d' % sys.version_info[:2])")
    why = ask(options.python, "from gopark._runtime import twin; print(twin.why)")
    sources = ["pure", *(() if why else ("twin",))]
    if why:
        print(f"the twin is not counted: {why}")
    known, found = limits(), {}
    with tempfile.TemporaryDirectory() as folder:
        places = {source: Path(folder, source) for source in sources}
        for place in places.values():
            place.mkdir()
        children = {
            source: begin(options.python, "1" if source == "twin" else "0", names, places[source])
            for source in sources
        }
        for source in sources:
            for name, count in counts(children[source], names, places[source]).items():
                found[version, source, name] = count
    over = show(found, known)
    if options.write:
        lines = [f"{' '.join(key)} {count}\n" for key, count in sorted((known | found).items())]
        LIMITS.write_text(_HEADER + "".join(lines), encoding="ascii")
    elif over:
        raise SystemExit(f"more than {SLACK - 1:.0%} above the limit: {', '.join(over)}")


def show(found: Counts, known: Counts) -> list[str]:
    """Print the table; which are too many."""
    over = []
    print(f"{'':24}{'instructions':>14}{'limit':>10}")
    for key, count in found.items():
        limit = known.get(key)
        print(f"{' '.join(key):24}{count:14,}{'none' if limit is None else f'{limit:,}':>10}")
        if limit is not None and count > limit * SLACK:
            over.append(" ".join(key))
    return over


if __name__ == "__main__":
    main()
