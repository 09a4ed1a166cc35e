"""`gopark worker` and `gopark workqueue`, as a person at a shell has them."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

import gopark
import queueprocs as procs
from gopark import workqueue
from gopark.workqueue import Group


def gopark_(*args: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    return procs.python("-m", "gopark", *args, cwd=cwd, COLUMNS="100")


def says(*args: str) -> str:
    command = gopark_(*args)
    out, err = command.communicate(timeout=120)
    assert (command.returncode, err) == (0, "")
    return out


JOBS = """\
from pathlib import Path

import gopark

async def slow(n):
    Path("began").touch()
    while not Path("end").exists():
        await gopark.time.sleep(0.01)
    return n

def double(n):
    return 2 * n

def _hidden():
    pass
"""


async def test_a_worker_serves_a_module_and_drains_when_it_is_told_to_end(url, name, tmp_path):
    (tmp_path / "shopjobs.py").write_text(JOBS)
    async with await workqueue.open(name, url) as q:
        worker = gopark_(
            *("worker", "shopjobs", "--queue", name, "--url", url, "--every", "0.05"), cwd=tmp_path
        )
        async with Group(q) as g:
            tasks = [g.go("shopjobs:double", n) for n in range(10)]
            slow = g.go("shopjobs:slow", 7)
            for task in tasks:
                await task
            while not (tmp_path / "began").exists():
                await gopark.time.sleep(0.001)
            worker.send_signal(signal.SIGTERM)
            (tmp_path / "end").touch()
            assert await slow == 7, "what has begun is done"
        assert [task.result() for task in tasks] == [2 * n for n in range(10)]
        out, err = await gopark.spawn(lambda: worker.communicate(timeout=60))
    assert (worker.returncode, out) == (0, "")
    lines = err.splitlines()
    assert lines[0] == f"serving {name} with 2 functions"
    assert lines[-1].startswith("11 done, 0 failed, 0 running")


async def test_queues_can_be_looked_at_and_after(url, name):
    async with await workqueue.open(name, url, tries=1, cap=50) as q:
        for text in ("bad\n", "worse"):
            await q.send(text)
            await (await q.C.recv()).drop("no\nuse")
    async with await workqueue.open(name, url) as q:
        await q.send("fine")
    assert f"\n{name:32}         1         0         2  open\n" in await _says("ls", "--url", url)
    shown = await _says("show", name, "--url", url)
    assert "1 waiting, 0 leased, 2 dead\n  cap 50, lease 30 s, tries 1, codec json" in shown
    assert 'tries, no\\nuse\n    "bad\\n"' in shown
    number = shown.split("\n  dead ")[1].partition(",")[0]
    again = await _says("requeue", name, number, "--url", url)
    assert again == f"1 dead letters of {name} wait again\n"
    assert "2 waiting, 0 leased, 1 dead" in await _says("show", name, "--url", url)
    assert await _says("purge", name, "--dead", "--url", url) == (
        f"1 dead letters of {name} are forgotten\n"
    )
    assert await _says("purge", name, "--url", url) == f"2 values of {name} are forgotten\n"


async def _says(*args):
    return await gopark.spawn(lambda: says("workqueue", *args))


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("worker", "no.such.module"), "there is no module 'no.such.module'"),
        (("worker", "gopark._cmd._failed"), "no public functions"),
        (("workqueue", "show", "none", "--url", "local:{}/q"), "there is no queue 'none'"),
        (("workqueue", "ls", "--url", "http://x"), "a URL is local: or nats://"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(tmp_path, args, text):
    command = gopark_(*(arg.format(tmp_path) for arg in args))
    out, err = command.communicate(timeout=120)
    assert (command.returncode, out) == (1, "")
    assert err.count("\n") == 1
    assert text in err
