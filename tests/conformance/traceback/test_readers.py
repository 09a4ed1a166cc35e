"""What the readers of Go's dumps take and lose of ours: the table in docs/inspecting.md."""

from __future__ import annotations

import pathlib
import re
import sys
import threading
import time

import gopark
from dumpreaders import VERSIONS, go_dump, read
from gopark import Chan
from gopark.testing import wait_all_parked

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs/inspecting.md"
FREE_THREADED = hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled()


async def park(ch):
    await ch.recv()


async def deep(ch, n):
    if n:
        await deep(ch, n - 1)
    else:
        await ch.recv()


def on_thread(ch):
    gopark.block(ch.recv())


def compute(stop, begun):
    begun.append(True)
    while not stop:
        time.monotonic()


def locked(ch):
    gopark.runtime.lock_os_thread()
    gopark.block(ch.recv())


def lines_of(page):
    """The rows of the table, as (what, gostackparse, goleak, panicparse)."""
    names = " | ".join(f"{name} {version[1:]}" for name, (_, version, _) in VERSIONS.items())
    table = page.partition(f"| a goroutine | {names} |\n|---|---|---|---|\n")[2]
    assert table, "the table's head names the versions"
    rows = table.partition("\n\n")[0].splitlines()
    return {cells[0]: cells[1:] for row in rows if (cells := row.strip("| ").split(" | "))}


async def test_what_the_readers_take_and_lose():
    ch, stop, begun, release = Chan(), [], [], threading.Event()
    held = threading.Lock()
    held.acquire()
    read("")  # or the test is skipped here
    kinds = {
        "parked": (park, ch),
        "parked on a thread": (on_thread, ch),
        "locked to its thread": (locked, ch),
        "parked in a function of gopark": (ch.recv,),
        "in `cgo.call`": (gopark.cgo.call, release.wait),
        "in a function of C": (held.acquire,),
        "computing, with a GIL": (compute, stop, begun),
        "more than 100 frames deep": (deep, ch, 150),
    }
    try:
        first = len(gopark.runtime.stack(all=True).split("\n\n"))
        for fn, *args in kinds.values():
            gopark.go(fn, *args)
        assert first == 1
        while not begun or gopark.runtime.stack(all=True).count(" [chan receive") < 5:
            await gopark.time.sleep(0.001)
        dump = gopark.runtime.stack(all=True)
    finally:
        stop.append(True)
        held.release()
        release.set()
        ch.close()
    ids = [int(goid) for goid in re.findall(r"^goroutine (\d+) ", dump, re.MULTILINE)]
    assert len(ids) == len(kinds) + 1
    found = read(dump)
    seen = {}
    for goid, kind in zip(ids[1:], kinds, strict=True):
        if kind == "computing, with a GIL" and FREE_THREADED:
            kind = "computing, without a GIL"
        seen[kind] = ["taken" if goid in found[name].functions else "lost" for name in VERSIONS]
    table = lines_of(PAGE.read_text(encoding="utf-8"))
    assert seen == {kind: table[kind] for kind in seen}
    other = "computing, with a GIL" if FREE_THREADED else "computing, without a GIL"
    assert set(table) == {*seen, other}
    await wait_all_parked()


async def test_a_stack_that_cannot_be_read_is_lost_in_gos_own_words():
    """Of a build without a GIL; here as text, so that every build checks the row."""
    dump = (
        "goroutine 7 [running]:\n"
        "\tgoroutine running on other thread; stack unavailable\n"
        "created by main.main in goroutine 1\n\t/path/prog.go:11\n"
    )
    table = lines_of(PAGE.read_text(encoding="utf-8"))
    found = read(dump)
    assert ["taken" if found[name].functions.get(7) else "lost" for name in VERSIONS] == (
        table["computing, without a GIL"]
    )


def test_a_deep_stack_is_lost_in_gos_own_dumps_too():
    dump = go_dump()
    assert " frames elided..." in dump
    lost = int(dump.rpartition("\n\ngoroutine ")[2].split()[0])
    found = read(dump)
    for name in ("gostackparse", "goleak"):
        assert lost not in found[name].functions
        assert found[name].errors
