"""The process that keeps a `local:` queue dies, or leaves: another goes on where it was."""

from __future__ import annotations

import signal

import gopark
import queueprocs as procs
from gopark import workqueue


async def test_the_keeper_leaves_and_the_workers_go_on(tmp_path):
    url = f"local:{tmp_path}/q"
    q = await workqueue.open("jobs", url)
    workers = [
        procs.start("worker.py", url, "jobs", tmp_path / f"done{n}", "0.001") for n in range(2)
    ]
    for n in range(500):
        await q.send(n)
    await q.close()
    await q.leave()
    for worker in workers:
        procs.ended(worker)
    done = [n for i in range(2) for n in procs.numbers(tmp_path / f"done{i}")]
    assert sorted(done) == list(range(500)), "once each: nobody died"
    assert list((tmp_path / "q").iterdir()) == []


async def test_the_keeper_is_killed_and_another_has_what_it_had(tmp_path):
    """The first to open it keeps it: a sender in a process of its own."""
    url = f"local:{tmp_path}/q"
    keeper = procs.start("sender.py", url, "jobs", tmp_path / "sent", 0, 10**9)
    q = await workqueue.open("jobs", url)
    came = []
    for _ in range(100):
        async with await q.C.recv() as value:
            came.append(value)
    keeper.send_signal(signal.SIGKILL)
    keeper.communicate()
    sent = procs.numbers(tmp_path / "sent")
    await q.close()
    async for d in q:
        async with d as value:
            came.append(value)
    assert set(sent) <= set(came), "what was confirmed is lost"
    assert len(came) == len(set(came)), "no receiver died, so nothing is done twice"
    await q.leave()


async def test_what_waits_for_a_reply_goes_on_with_the_next_keeper(tmp_path):
    """A sender that waits for room, and a receiver that waits for a value."""
    url = f"local:{tmp_path}/q"
    keeper = procs.start("worker.py", url, "other", tmp_path / "x")
    keeper_of_jobs = procs.start("sender.py", url, "jobs", tmp_path / "sent", 0, 1024)
    q = await workqueue.open("jobs", url)
    procs.ended(keeper_of_jobs)
    waits = gopark.spawn(q.send, "more")
    assert (await q.stats()).waiting == 1024
    async with await q.C.recv() as value:
        assert value == 0
    await waits
    assert await q.purge() == 1024
    await q.leave()

    q = await workqueue.open("other", url)
    receives = gopark.spawn(q.C.recv)
    await gopark.testing.wait_all_parked()
    keeper.send_signal(signal.SIGKILL)
    keeper.communicate()
    await q.send("hello")
    async with await receives as value:
        assert value == "hello"
    await q.leave()
