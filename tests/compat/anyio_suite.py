"""anyio's own tests, on asyncio's loop and on ours: how many pass on each.

    python tests/compat/anyio_suite.py FOLDER [--ours] [pytest's arguments]

FOLDER is a checkout of anyio. Of its backends it is asyncio's that is run, with and without eager
tasks; on ours wherever asyncio would make a loop of its own.
"""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

import gopark


def main() -> int:
    folder, *rest = sys.argv[1:]
    if "--ours" in rest:
        rest.remove("--ours")
        asyncio.new_event_loop = asyncio.events.new_event_loop = gopark.asyncio.new_event_loop
    os.chdir(folder)
    sys.path.insert(0, os.path.join(folder, "src"))
    only = "not trio and not uvloop"
    return int(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:gopark", "-k", only, *rest]))


if __name__ == "__main__":
    sys.exit(gopark.run(main))
