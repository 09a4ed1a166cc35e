"""Functions that run in workers, and what comes back from them."""

from __future__ import annotations

import pickle
import signal
import types

import pytest

import gopark
import queueprocs as procs
from gopark import workqueue
from gopark.context import background, with_cancel
from gopark.workqueue import Group, _leftovers, serve
from gopark.workqueue._calls import allowed
from gopark.workqueue._list import names_at


def double(x):
    return 2 * x


async def slowly(x):
    await gopark.time.sleep(0.01)
    return x


def fails(text):
    raise ValueError(text)


def odd():
    return object()


class Workers:
    """`async with Workers(q, *functions)`: one that serves, in this process."""

    def __init__(self, q, *functions, limit=8):
        self.args = q, *functions
        self.limit = limit

    async def __aenter__(self):
        ctx, self.stop = with_cancel(background())
        self.task = gopark.spawn(lambda: gopark.block(serve(ctx, *self.args, limit=self.limit)))
        return self

    async def __aexit__(self, *exc):
        self.stop()
        await self.task


async def test_results_come_back_in_the_tasks(opened):
    async with await opened() as q, await opened() as there:
        async with Workers(there, double, slowly):
            async with Group(q, limit=5) as g:
                tasks = [g.go(double, n) for n in range(20)]
                other = g.go(f"{__name__}:slowly", x="named")
                assert await other == "named"
            assert [task.result() for task in tasks] == [2 * n for n in range(20)]
        stats = await q.stats()
        assert (stats.waiting, stats.leased, stats.dead) == (0, 0, 0)


async def test_an_exception_comes_back_with_its_traceback(opened):
    async with await opened() as q, await opened() as there:
        async with Workers(there, double, fails):
            with pytest.raises(workqueue.RemoteError) as info:
                async with Group(q) as g:
                    g.go(fails, "no good")
    error = info.value
    assert (error.kind, error.text) == ("ValueError", "no good")
    assert "in fails" in error.traceback
    assert any("In the worker:" in note for note in error.__notes__)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.kind, copy.text, copy.traceback) == (error.kind, error.text, error.traceback)


async def test_what_is_not_on_the_list_is_not_called(opened):
    async with await opened() as q, await opened() as there:
        async with Workers(there, double):
            with pytest.raises(workqueue.RemoteError, match="os:getpid is not among"):
                async with Group(q) as g:
                    g.go("os:getpid")


async def test_a_result_that_cannot_be_written_is_an_error_that_says_so(opened):
    async with await opened() as q, await opened() as there:
        async with Workers(there, odd):
            with pytest.raises(workqueue.RemoteError, match="NotEncodable"):
                async with Group(q) as g:
                    g.go(odd)


async def test_after_an_error_what_no_worker_has_begun_is_not_run(opened):
    began = []

    async def notes(n):
        began.append(n)

    notes.__qualname__ = "notes"
    async with await opened() as q, await opened() as there:
        with pytest.raises(ValueError, match="mine"):
            async with Group(q) as g:
                for n in range(10):
                    g.go(notes, n)
                while (await q.stats()).waiting < 10:
                    await gopark.time.sleep(0.001)
                raise ValueError("mine")
        async with Workers(there, notes):
            while (stats := await q.stats()).waiting + stats.leased:
                await gopark.time.sleep(0.001)
        assert began == []


async def test_a_call_that_kills_its_workers_is_lost(opened, url, name):
    async with await opened(tries=1, lease=0.5) as q:
        worker = procs.launch("killer.py", url, name)
        task = None
        with pytest.raises(workqueue.Lost, match=r"killer:die has no result"):
            async with Group(q) as g:
                task = g.go("killer:die")
                _, err = await gopark.spawn(lambda: worker.communicate())
                assert worker.returncode == -signal.SIGKILL, err
                async with Workers(q, double):
                    await task


async def test_what_is_no_call_goes_to_the_dead(opened):
    async with await opened() as q, await opened() as there:
        await q.send("hello")
        await q.close()
        await serve(background(), there, double)
        assert [letter.why async for letter in q.dead] == ["no call of a Group"]


async def test_a_worker_ends_what_it_has_begun(opened):
    go_on = gopark.Chan()

    async def waits():
        await go_on.recv()
        return "done"

    waits.__qualname__ = "waits"
    async with await opened() as q, await opened() as there:
        ctx, stop = with_cancel(background())
        worker = gopark.spawn(serve, ctx, there, waits)
        async with Group(q) as g:
            task = g.go(waits)
            while not (await q.stats()).leased:
                await gopark.time.sleep(0.001)
            stop()
            await go_on.send(None)
            assert await task == "done"
        await worker


@pytest.mark.parametrize("fn", [lambda: 1, "os.getpid", ":x", "x:"])
async def test_what_has_no_name_is_refused(tmp_path, fn):
    async with await workqueue.open("q", f"local:{tmp_path}/q") as q:
        async with Group(q) as g:
            with pytest.raises(ValueError, match="name"):
                g.go(fn)


async def test_a_module_stands_for_its_public_functions(tmp_path):
    import json

    async with await workqueue.open("q", f"local:{tmp_path}/q") as q:
        async with Workers(q, json):
            async with Group(q) as g:
                task = g.go("json:dumps", [1])
            assert task.result() == "[1]"
            with pytest.raises(workqueue.RemoteError, match="not among"):
                async with Group(q) as g:
                    g.go("json:detect_encoding", "x")


def test_main_is_what_a_program_begins_with_and_is_not_offered():
    module = types.ModuleType("jobs")
    exec("def main(): pass\ndef work(): pass\n", vars(module))
    assert list(allowed([module])) == ["jobs:work"]
    module.__all__ = ["main"]
    assert list(allowed([module])) == ["jobs:main"]


async def test_what_a_killed_owner_has_left_is_removed_by_the_next_group(
    opened, url, name, monkeypatch
):
    async def results():
        return {one for one in await names_at(url) if "-re-" in one and one.startswith(name)}

    async with await opened() as q, await opened() as there:
        owner = await gopark.spawn(procs.start, "owner.py", url, name)
        left = await results()
        assert len(left) == 1
        monkeypatch.setattr(_leftovers, "QUIET", -1.0)
        async with Group(q) as g:
            await g._clearer
            assert left < await results(), "its owner lives"
        owner.kill()
        owner.communicate()
        await q.purge()
        monkeypatch.setattr(_leftovers, "QUIET", 600.0)
        async with Group(q) as g:
            await g._clearer
            assert left < await results(), "it may come again"
        monkeypatch.setattr(_leftovers, "QUIET", -1.0)
        async with Workers(there, double):
            while left & await results():  # a server drops the requests of who has gone in time
                async with Group(q) as g:
                    assert await g.go(double, 2) == 4
                    await g._clearer
