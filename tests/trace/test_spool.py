"""A long trace goes to a temporary file, and comes back in order."""

from __future__ import annotations

import io

import gopark
import traces
from gopark import trace
from gopark._runtime.prof import trace as recording
from gopark.trace import _spool
from gopark.trace._spool import Spool


def lists(spool):
    return [(mid, list(items)) for mid, items in spool.lists()]


def test_lists_come_back_in_order():
    spool = Spool(inmemory=10)
    given = [(n % 3, [("cut", 1.5, 0, n), 2, -3, 0.25, n, "chan send"]) for n in range(20)]
    for mid, items in given:
        spool.take(mid, items)
    assert len(spool.kept) == 1
    assert lists(spool) == given
    assert lists(spool) == given  # it is read twice
    spool.close()


def test_no_room(monkeypatch):
    """What cannot be kept is left out, and whoever stops the trace hears of it."""
    spool = Spool(inmemory=1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_spool.marshal, "dump", full)
    spool.take(1, [0.25, 1, "sleep"])
    spool.take(1, [0.5, 1, "sleep"])
    assert isinstance(spool.failed, OSError)
    assert lists(spool) == []
    spool.close()


def test_a_long_trace(run, monkeypatch, procs):
    """With short lists, most of them in the file, it is the same trace."""
    monkeypatch.setattr(recording, "_CHUNK", 50)
    monkeypatch.setattr(Spool.__init__, "__defaults__", (100,))
    n = 500
    out = io.BytesIO()

    async def answer(ping, pong):
        for _ in range(n):
            await pong.send(await ping.recv())
        pong.close()

    async def main():
        trace.start(out)
        ping, pong = gopark.Chan(), gopark.Chan()
        gopark.go(answer, ping, pong)
        for i in range(n):
            await ping.send(i)
            await pong.recv()
        await pong.recv()
        trace.stop()

    run(main)
    found = traces.read(out.getvalue())
    goid = found.goid("test_a_long_trace.answer")
    for here in (1, goid):
        assert n <= len(found.runs(here)) <= 2 * n + 2
        assert abs(len(found.waits(here)) - len(found.runs(here))) <= 1
    readied = [a for a in found.arrows if a[2] == "ready"]
    assert len(readied) >= len(found.waits(1)) + len(found.waits(goid)) - 2
