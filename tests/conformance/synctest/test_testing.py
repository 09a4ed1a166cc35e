"""Bubbles in tests: how they fail, what they clean up, whole examples (Go: testing/synctest)."""

from __future__ import annotations

import contextlib
import gc
import weakref

import pytest

import gopark
from gopark import Chan, recv, select
from gopark.context import DeadlineExceeded, after_func, background, with_cancel, with_timeout
from gopark.testing import synctest
from gopark.time import after_func as time_after_func
from gopark.time import monotonic, sleep
from harness import run_python

# --- pytest -----------------------------------------------------------------------------------

SUITE = """
import pytest
from gopark.testing import synctest

async def fatal():
    assert 1 == 2, "fatal"

async def skip():
    pytest.skip("no reason")

def test_fatal():
    synctest.test(fatal)

def test_skip():
    synctest.test(skip)
"""


@pytest.mark.go("testing/synctest", "TestFatal")
@pytest.mark.go("testing/synctest", "TestSkip")
@pytest.mark.go("testing/synctest", "TestVerboseSkip")
def test_fatal(tmp_path):
    file = tmp_path / "test_suite.py"
    file.write_text(SUITE)
    ended = run_python(["-m", "pytest", "-v", "-p", "no:cacheprovider", "-rsf", str(file)])
    assert ended.status == 1, ended
    assert "1 failed, 1 skipped" in ended.stdout
    assert "AssertionError: fatal" in ended.stdout
    assert "no reason" in ended.stdout


@pytest.mark.go("testing/synctest", "TestCleanup")
def test_cleanup():
    done = []

    async def main():
        ch = Chan()

        async def background():
            await ch.recv()
            done.append(monotonic())

        with contextlib.ExitStack() as cleanup:
            cleanup.callback(ch.close)
            gopark.go(background)
            await sleep(1)

    synctest.test(main)
    assert done == [1]


@pytest.mark.go("testing/synctest", "TestContext")
def test_context():
    states = []

    async def main():
        with with_cancel(background()) as ctx:

            async def waits():
                states.append("waiting on context")
                await ctx.done().recv()
                states.append("done")

            gopark.go(waits)
            await synctest.wait()
            states.append("wait has returned")

    synctest.test(main)
    assert states == ["waiting on context", "wait has returned", "done"]


# --- time and wait ----------------------------------------------------------------------------


@pytest.mark.go("testing/synctest", "TestTime")
def test_time():
    async def main():
        got = []

        async def child():
            await sleep(1e-9)
            got.append(monotonic())

        gopark.go(child)
        await sleep(2e-9)
        return [*got, monotonic()]

    assert synctest.test(main) == [1e-9, 2e-9]


@pytest.mark.usefixtures("procs")
@pytest.mark.go("testing/synctest", "TestWait")
def test_wait():
    async def main():
        done = []

        def child():
            done.append(True)

        gopark.go(child)
        await synctest.wait()
        return done

    assert synctest.test(main) == [True]


@pytest.mark.usefixtures("procs")
@pytest.mark.go("testing/synctest", "TestSynctestTimerRaceCtxCrash")
def test_synctest_timer_race_ctx_crash():
    async def main():
        ran: list[float] = []

        def first():
            time_after_func(0, lambda: ran.append(monotonic()))

        for _ in range(50):
            time_after_func(1, first)
        await sleep(2)
        return ran

    for _ in range(5):
        assert synctest.test(main) == [1] * 50


@pytest.mark.go("testing/synctest", "TestContextAfterFunc")
def test_context_after_func():
    async def main():
        called: list[bool] = []
        ctx, cancel = with_cancel(background())
        after_func(ctx, called.append, True)
        await synctest.wait()
        assert called == []
        cancel()
        await synctest.wait()
        assert called == [True]

    synctest.test(main)


@pytest.mark.usefixtures("procs")
@pytest.mark.go("testing/synctest", "TestContextWithTimeout")
def test_context_with_timeout():
    async def main():
        with with_timeout(background(), 5) as ctx:
            await synctest.sleep(5 - 1e-9)
            assert ctx.err() is None
            await synctest.sleep(1e-9)
            assert monotonic() == 5
            err = ctx.err()
            assert isinstance(err, DeadlineExceeded)
            assert str(err) == "context deadline exceeded"

    synctest.test(main)


# --- a client and a server over a connection in memory ----------------------------------------


class Pipe:
    """One end of a connection: what the other one writes, as it writes it."""

    def __init__(self, reads, writes):
        self.reads, self.write = reads, writes.send

    async def read(self):
        return await self.reads.recv()


async def put(conn, body):
    """A PUT that asks first; it sends its body unasked after 5 seconds."""
    await conn.write("PUT / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n")
    answer = gopark.time.after(5)
    index, line, _ = await select(recv(conn.reads), recv(answer))
    if index == 0 and not line.startswith("HTTP/1.1 100"):
        return line
    await conn.write(body)
    return await conn.read()


@pytest.mark.parametrize("answers", [True, False], ids=["continue", "no answer"])
@pytest.mark.go("testing/synctest", "TestHTTPTransport100Continue")
def test_http_transport100_continue(answers):
    async def main():
        to_server, to_client = Chan(), Chan()
        client, server = Pipe(to_client, to_server), Pipe(to_server, to_client)
        bodies, responses = [], []

        async def request():
            responses.append(await put(client, "request body"))

        async def reads():
            bodies.append(await server.read())

        gopark.go(request)
        assert "Expect: 100-continue" in await server.read()
        gopark.go(reads)
        await synctest.wait()
        assert bodies == []
        if answers:
            await server.write("HTTP/1.1 100 Continue\r\n\r\n")
        else:
            await sleep(5)
        await synctest.wait()
        assert bodies == ["request body"]
        await server.write("HTTP/1.1 200 OK\r\n\r\n")
        await synctest.wait()
        assert responses == ["HTTP/1.1 200 OK\r\n\r\n"]

    synctest.test(main)


# --- what is seen when ------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
@pytest.mark.go("internal/synctest", "TestHappensBefore")
def test_happens_before():
    """Two variables, so that more than one goroutine has to be accounted for."""
    v = [0, 0]

    def step(expected):
        assert v == [expected, expected]
        v[0] += 1
        v[1] += 1

    def each(start):
        for i in range(2):
            start(i)

    async def adds(i, ch=None):
        v[i] += 1
        if ch is not None:
            await ch.recv()

    async def first():
        step(0)
        each(lambda i: gopark.go(adds, i))
        await synctest.wait()
        step(2)
        parked = Chan()
        each(lambda i: gopark.go(adds, i, parked))
        await synctest.wait()
        step(4)
        parked.close()
        each(lambda i: time_after_func(0, adds, i))
        await synctest.wait()
        step(6)
        later = Chan()
        each(lambda i: time_after_func(0, adds, i, later))
        await synctest.wait()
        step(8)
        later.close()

    synctest.test(first)
    synctest.test(each, lambda i: gopark.go(gopark.go, adds, i))
    assert v == [10, 10]


# --- the collector ----------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestSynctest")
@pytest.mark.go("runtime/testdata/testsynctest", "testsynctest")
def test_synctest():
    """It starts no goroutine here; what finalisers do in the middle of others keeps no wait."""

    class Thing:
        pass

    finalized = []

    def finalizer():
        finalized.append(True)
        gopark.go(Chan(1).send, None)

    async def main():
        there, back = Chan(), Chan()

        async def makes():
            async for _ in there:
                await back.send(Thing())

        gopark.go(makes)
        before = gc.get_stats()[0]["collections"]
        while gc.get_stats()[0]["collections"] - before < 2 or len(finalized) < 2:
            for _ in range(100):
                thing = Thing()
                thing.ring = thing
                await there.send(thing)
                weakref.finalize(await back.recv(), finalizer)
            await synctest.wait()
        there.close()

    synctest.test(main)
