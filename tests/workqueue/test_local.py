"""`local:` queues between processes: who can reach them, and what becomes of those that die."""

from __future__ import annotations

import os
import signal
import stat

import pytest

import gopark
import queueprocs as procs
from gopark import workqueue

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Unix sockets")


def at(tmp_path) -> str:
    return f"local:{tmp_path}/q"


async def test_the_socket_is_the_users_own_and_the_last_removes_all(tmp_path):
    async with await workqueue.open("jobs", at(tmp_path)) as q:
        folder = tmp_path / "q"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()}
        assert modes == {"jobs.lock": 0o600, "jobs.log": 0o600, "jobs.sock": 0o600}
        await q.send(1)
    assert (folder / "jobs.log").exists(), "a value is left"
    assert not (folder / "jobs.sock").exists()
    async with await workqueue.open("jobs", at(tmp_path)) as q:
        assert await q.purge() == 1
    assert list(folder.iterdir()) == []


async def test_a_directory_of_others_is_refused(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(workqueue.Unavailable, match="others can write"):
        await workqueue.open("jobs", f"local:{folder}")
    (tmp_path / "file").touch()
    with pytest.raises(workqueue.Unavailable, match="no directory"):
        await workqueue.open("jobs", f"local:{tmp_path}/file")


async def test_where_one_queue_can_be_opened_there_is_room_for_all(tmp_path):
    longest = f"{tmp_path}/{'y' * (84 - len(f'{tmp_path}/'))}"
    url = f"local:{longest}"
    async with await workqueue.open("j", url) as q, await workqueue.open("x" * 64, url) as long:
        worker = procs.start("worker.py", url, "x" * 64, tmp_path / "done")
        await long.send(1)
        await long.close()
        await gopark.spawn(lambda: procs.ended(worker))
        assert procs.numbers(tmp_path / "done") == [1]
        async with workqueue.Group(q):
            pass
    assert os.listdir(longest) == []
    with pytest.raises(workqueue.Unavailable, match=r"too long .* at most 85 bytes"):
        await workqueue.open("j", f"{url}yy")


async def test_values_and_dead_letters_outlive_all_who_have_the_queue_open(tmp_path):
    async with await workqueue.open("jobs", at(tmp_path), cap=7, lease=9.0) as q:
        for n in range(3):
            await q.send(n, id=str(n))
        await (await q.C.recv()).drop("no")
    async with await workqueue.open("jobs", at(tmp_path)) as q:
        assert (q.cap, q.lease) == (7, 9.0)
        await q.send(2, id="2")
        stats = await q.stats()
        assert (stats.waiting, stats.dead) == (2, 1)
        for n in 1, 2:
            async with await q.C.recv() as value:
                assert value == n
        assert await q.purge(dead=True) == 1


async def test_processes_share_the_work(tmp_path):
    async with await workqueue.open("jobs", at(tmp_path)) as q:
        done = [tmp_path / f"done{n}" for n in range(2)]
        workers = [procs.start("worker.py", at(tmp_path), "jobs", path) for path in done]
        for n in range(300):
            await q.send(n)
        await q.close()
        for worker in workers:
            procs.ended(worker)
        assert sorted(procs.numbers(done[0]) + procs.numbers(done[1])) == list(range(300))


async def test_what_a_worker_had_that_was_killed_is_for_others_at_once(tmp_path):
    """Its lease has half an hour yet; who keeps the queue sees that the process is gone."""
    async with await workqueue.open("jobs", at(tmp_path), lease=1800.0) as q:
        for n in range(4):
            await q.send(n)
        worker = procs.start("worker.py", at(tmp_path), "jobs", tmp_path / "done", "1000")
        while (await q.stats()).leased < 4:
            await gopark.time.sleep(0.005)
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        with gopark.timeout(60):
            came = [await q.C.recv() for _ in range(4)]
        assert sorted((d.value, d.tries) for d in came) == [(n, 2) for n in range(4)]
        for d in came:
            await d.ack()


async def test_a_stopped_worker_loses_its_lease_and_what_it_says_later_changes_nothing(tmp_path):
    async with await workqueue.open("jobs", at(tmp_path), lease=1.0) as q:
        await q.send(1)
        worker = procs.start("worker.py", at(tmp_path), "jobs", tmp_path / "done", "5")
        while not (await q.stats()).leased:
            await gopark.time.sleep(0.001)
        worker.send_signal(signal.SIGSTOP)
        try:
            with gopark.timeout(60):
                d = await q.C.recv()
            assert (d.value, d.tries) == (1, 2)
            await d.ack()
        finally:
            worker.send_signal(signal.SIGCONT)
        await q.close()
        procs.ended(worker)
        assert procs.numbers(tmp_path / "done") == [1], "done twice, and lost never"


async def test_a_value_that_kills_who_has_it_is_dead_after_its_tries(tmp_path):
    async with await workqueue.open("jobs", at(tmp_path), tries=2) as q:
        await q.send("poison")
        for _ in range(2):
            worker = procs.start("worker.py", at(tmp_path), "jobs", tmp_path / "done", "1000")
            while not (await q.stats()).leased:
                await gopark.time.sleep(0.001)
            worker.send_signal(signal.SIGKILL)
            worker.communicate()
            while (await q.stats()).leased:
                await gopark.time.sleep(0.001)
        await q.send("good")
        async with await q.C.recv() as value:
            assert value == "good"
        await q.close()
        assert [d async for d in q] == []
        (letter,) = [letter async for letter in q.dead]
        assert letter.value == "poison"
        assert "has died" in letter.why


async def test_who_speaks_no_gopark_is_sent_away(tmp_path):
    async with await workqueue.open("jobs", at(tmp_path)) as q:
        for said in (b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\3\1{}", b"\0\0\0\1\2", b"\0\0\0\0"):
            with await gopark.net.dial("unix", f"{tmp_path}/q/jobs.sock") as conn:
                await conn.write(said)
                assert await conn.read() == b""
        await q.send(1)
        assert (await q.stats()).waiting == 1
        await q.purge()
