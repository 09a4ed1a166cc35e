"""What is particular to servers of NATS: that they are there, or not, and what they keep."""

from __future__ import annotations

import importlib
import sys

import pytest

import gopark
import natsservers
import queueprocs as procs
from gopark import workqueue
from gopark.asyncio import call


@pytest.fixture(params=natsservers.KINDS)
def server(request):
    """One of the test's own."""
    if why := natsservers.missing(request.param):
        pytest.skip(why)
    server = natsservers.Server(request.param).start()
    yield server
    server.stop()


def free_url() -> str:
    return f"nats://127.0.0.1:{natsservers.free_port()}"


async def test_without_the_client_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "nats", None)
    with pytest.raises(workqueue.Unavailable, match=r"pip install 'gopark\[nats\]'"):
        await workqueue.open("jobs", free_url())


async def test_without_a_server_the_error_says_so(monkeypatch):
    pytest.importorskip("nats", reason="no nats-py")
    from gopark.workqueue import _natswire

    monkeypatch.setattr(_natswire, "_CONNECT", 0.3)
    url = free_url()
    with pytest.raises(workqueue.Unavailable, match=url):
        await workqueue.open("jobs", url)


@pytest.mark.parametrize(
    "url", ["nats://", "nats://h?x=1", "nats://h?replicas=0", "nats://h?replicas=many"]
)
async def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match="nats://host:port"):
        await workqueue.open("jobs", url)


async def test_a_stream_of_others_is_left_alone(server):
    nats = importlib.import_module("nats")

    async def made():
        nc = await nats.connect(server.url)
        await nc.jetstream().add_stream(name="GOPARK_jobs", subjects=["theirs"])
        await nc.close()

    await call(made())
    with pytest.raises(workqueue.Unavailable, match="GOPARK_jobs is there and is no queue"):
        await workqueue.open("jobs", server.url)


async def test_the_server_is_killed_and_comes_back(server):
    """Who waits goes on waiting, and what was confirmed is there."""
    async with await workqueue.open("jobs", server.url, lease=1.0) as q:
        confirmed, done = [], []

        async def send():
            for n in range(400):
                await q.send(n)
                confirmed.append(n)
            await q.close()

        async def receive():
            async for d in q:
                async with d as value:
                    done.append(value)

        tasks = [gopark.spawn(send), *(gopark.spawn(receive) for _ in range(4))]
        for at in (50, 200):
            while len(done) < at:
                await gopark.time.sleep(0.001)
            server.kill()
            server.start()
        await gopark.gather(*tasks)
        assert set(done) == set(confirmed) == set(range(400))


async def test_what_a_worker_had_that_was_killed_comes_to_another_after_its_lease(server, tmp_path):
    async with await workqueue.open("jobs", server.url, lease=1.0) as q:
        for n in range(4):
            await q.send(n)
        worker = procs.start("worker.py", server.url, "jobs", tmp_path / "done", "1000")
        while (await q.stats()).leased < 4:
            await gopark.time.sleep(0.01)
        worker.kill()
        worker.communicate()
        came = [await q.C.recv() for _ in range(4)]
        assert sorted((d.value, d.tries) for d in came) == [(n, 2) for n in range(4)]
        for d in came:
            await d.ack()


async def test_a_stream_that_was_deleted_is_told(server):
    nats = importlib.import_module("nats")

    async def deleted():
        nc = await nats.connect(server.url)
        await nc.jetstream().delete_stream("GOPARK_jobs")
        await nc.close()

    async with await workqueue.open("jobs", server.url) as q:
        await call(deleted())
        with pytest.raises(workqueue.Unavailable, match="was deleted"):
            await q.send(1)
