"""Async generators that nobody finished."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import weakref

import pytest

import gopark
from gopark import Chan
from gopark._runtime.sched import mfinal, startm
from gopark.testing import wait_all_parked


def make(log, name="agen", wait=False):
    async def agen():
        try:
            while True:
                yield name
        finally:
            if wait:
                await gopark.gosched()
            log.append(name)

    return agen()


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("wait", [False, True])
async def test_a_generator_left_early_is_closed_by_a_goroutine_while_the_program_runs(wait):
    log = []
    async for _ in make(log, wait=wait):
        break
    gc.collect()
    for _ in range(1000):
        if log:
            break
        await gopark.gosched()
        await wait_all_parked()
    assert log == ["agen"]


@pytest.mark.usefixtures("procs")
def test_a_generator_still_alive_when_main_returns_is_closed_then(run):
    log, keep = [], []

    async def main():
        for n in range(3):
            agen = make(log, n)
            keep.append(agen)
            await anext(agen)

    run(main)
    assert sorted(log) == [0, 1, 2]


def test_a_generator_that_waits_at_the_end_is_not_waited_for(run):
    log, keep = [], []

    async def agen():
        try:
            yield 1
        finally:
            log.append("before")
            await Chan().recv()
            log.append("after")

    async def main():
        keep.append(agen())
        await anext(keep[0])
        return "done"

    assert run(main) == "done"
    assert log == ["before"]


async def test_a_generator_of_a_goroutine_on_any_thread_is_closed(request):
    before = gopark.runtime.gomaxprocs(4)
    request.addfinalizer(lambda: gopark.runtime.gomaxprocs(before))
    log, done = [], Chan()

    async def worker(n):
        async for _ in make(log, n):
            break
        await done.send(None)

    for n in range(20):
        gopark.go(worker, n)
    for _ in range(20):
        await done.recv()
    gc.collect()
    for _ in range(1000):
        if len(log) == 20:
            break
        await gopark.gosched()
        await wait_all_parked()
    assert sorted(log) == list(range(20))


def test_the_hooks_of_the_calling_thread_are_put_back(run):
    marker = (lambda agen: None, lambda agen: None)
    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(*marker)
    try:

        async def main():
            return sys.get_asyncgen_hooks()

        inside = run(main)
        assert tuple(inside) != marker
        assert tuple(sys.get_asyncgen_hooks()) == marker
    finally:
        sys.set_asyncgen_hooks(*before)


async def test_a_finished_generator_leaves_nothing_to_do():
    log = []

    async def short():
        yield 1
        log.append("end")

    assert [v async for v in short()] == [1]
    gc.collect()
    assert log == ["end"]
    assert gopark.runtime.num_goroutine() == 1


@pytest.mark.filterwarnings("error")
def test_one_whose_goroutine_never_ran_is_no_coroutine_that_nobody_awaited(run, recwarn):
    async def main():
        async for _ in make([]):
            break
        gc.collect()

    run(main)
    gc.collect()
    assert not recwarn.list


def test_a_closer_that_starts_while_an_m_goes_idle_is_run(run, wait_until):
    """That M has looked at the queue already, and nobody else is awake."""
    log = []

    async def main():
        gopark.go(gopark.time.sleep, 3600)  # else an idle M looks round now and then
        runs = threading.Thread(target=thread)
        runs.start()
        await done.recv()

    def thread():
        agen = make(log)
        with contextlib.suppress(StopIteration):
            anext(agen).send(None)
        sched = startm.getsched()
        assert wait_until(lambda: sched.npidle == len(sched.allp) and sched.pollm is not None)
        with sched.lock:
            mfinal._finalize(agen)
        log.append(wait_until(lambda: bool(log), 20))
        done.close()

    done = Chan()
    run(main, outside_help=True)
    assert log == ["agen", True]


def test_threads_that_compute_on_may_start_generators_as_those_left_are_closed(monkeypatch):
    left, more = [make([]) for _ in range(3)], []
    known = weakref.WeakSet(left)
    monkeypatch.setattr(mfinal, "_left", known)

    class Adds:
        """In the place of a reference: while all are gone through, one more comes."""

        def __call__(self):
            more.append(make([]))
            known.add(more[-1])
            return left[0]

    known.data.add(Adds())
    mfinal.closeleft(lambda step, cease: step())
    assert more
