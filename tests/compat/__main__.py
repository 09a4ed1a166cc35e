"""Run each case in a process of its own: on asyncio's loop, on ours, and on uvloop's, hosted.

    python -m tests.compat [--only aiohttp] [--write] [--python python3.13 --python python3.13t ...]

With `--python` for each of these interpreters, each of which has a table of its own. A library that
is not installed, or whose server is not, is shown as such. On asyncio's own loop a case must pass,
or says nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys

from tests.compat.cases import CASES, DISTRIBUTIONS, NOSIGNALS
from tests.compat.servers import servers

LOOPS = ("asyncio", "gopark", "uvloop")
NEEDS = {
    **{"redis": "REDIS_PORT", "asyncpg": "POSTGRES_PORT", "psycopg": "POSTGRES_PORT"},
    "nats": "NATS_PORT",
}
PAGE = pathlib.Path(__file__).parents[2] / "docs" / "asyncio-libraries.md"
TIMEOUT = 120  # seconds
MARK = "\n--- the table ---\n"
HEAD = """# Libraries of asyncio's

Made by `python -m tests.compat --write`. Each line is a small program against the library as it is
published; none of them knows of gopark. *asyncio* is `asyncio.run`, *gopark* is
`gopark.asyncio.call` on the program's loop, *uvloop* the same after
`gopark.asyncio.start(factory=uvloop.new_event_loop)`.

Without the GIL goroutines run on several threads, the loop's too. uvicorn puts the handlers of
signals back as it ends, which only the main thread may: where the table says that it fails, it was
on another one. With one P (`GOMAXPROCS=1`) it passes.

"""


def child(name: str, loop: str) -> None:
    case = CASES[name]
    if loop == "asyncio":
        asyncio.run(case())
        return
    import gopark

    async def main() -> None:
        if loop == "uvloop":
            import uvloop

            gopark.asyncio.start(factory=uvloop.new_event_loop)
        await gopark.asyncio.call(case())

    gopark.run(main)


def installed(names: list[str]) -> list[str] | None:
    try:
        return [f"{name} {importlib.metadata.version(name)}" for name in names]
    except importlib.metadata.PackageNotFoundError:
        return None


def result(name: str, loop: str, env: dict[str, str]) -> str:
    library = name.partition("_")[0]
    needed = DISTRIBUTIONS[library] + (["uvloop"] if loop == "uvloop" else [])
    if installed(needed) is None:
        return "not installed"
    if (needs := NEEDS.get(library)) is not None and needs not in env:
        return "no server"
    command = [sys.executable, "-m", "tests.compat", "--case", name, "--loop", loop]
    try:
        done = subprocess.run(
            command, env=os.environ | env, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired as exc:
        print(name, loop, "hangs", (exc.stderr or b"").decode()[-3000:], file=sys.stderr)
        return "hangs"
    if "libpq library not found" in done.stderr:
        return "no libpq"
    if done.returncode or done.stderr:
        print(name, loop, done.returncode, done.stderr[-3000:], file=sys.stderr)
    return {0: "passes", NOSIGNALS: "no signals"}.get(done.returncode, "fails")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--python", action="append", help="an interpreter; may be repeated")
    parser.add_argument("--case")
    parser.add_argument("--loop")
    args = parser.parse_args()
    if args.case:
        return child(args.case, args.loop)
    tables = [of(python, args.only) for python in args.python or []] or [table(args.only)]
    if args.write:
        PAGE.write_text(HEAD + "\n\n".join(tables) + "\n")
    return None


def of(python: str, only: str) -> str:
    """The table of another interpreter."""
    command = [python, "-m", "tests.compat", "--only", only]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = "".join(print(line, end="", flush=True) or line for line in process.stdout)
    return text.partition(MARK)[2].strip()


def table(only: str) -> str:
    lines = ["| library | what | asyncio | gopark | uvloop |", "|---|---|---|---|---|"]
    with servers() as env:
        for name in CASES:
            if not name.startswith(only):
                continue
            library, _, what = name.partition("_")
            versions = installed(DISTRIBUTIONS[library])
            row = [result(name, loop, env) for loop in LOOPS]
            print(f"{name:20}", *row, flush=True)
            label = ", ".join(versions) if versions else library
            lines.append(f"| {label} | {what.replace('_', ' ')} | {' | '.join(row)} |")
    free = " without the GIL" if not getattr(sys, "_is_gil_enabled", lambda: True)() else ""
    where = f"## CPython {platform.python_version()}{free}, {platform.system()}"
    text = f"{where}\n\n" + "\n".join(lines)
    print(f"{MARK}{text}", flush=True)
    return text


if __name__ == "__main__":
    main()
