"""Extra Ms: taken and given back exactly, and invisible in between."""

from __future__ import annotations

import gc
import sys
import threading

import pytest

import gopark
from gopark import Chan
from gopark._runtime.base import runtime2
from gopark._runtime.base.runtime2 import GDEAD
from gopark._runtime.c import extram

pytestmark = pytest.mark.skipif(
    extram._cxa_thread_atexit is None, reason="this libc has no per-thread exit hook"
)


_before: list[runtime2.M] = []


@pytest.fixture(autouse=True)
def _bound_by_earlier_tests():
    """A thread that outlives a test, pytest's own for one, keeps the M it was bound to."""
    _before[:] = extram.inuse()


def bound():
    """The Ms bound to a thread since the test began."""
    return [m for m in extram.inuse() if m not in _before]


def test_the_list_always_holds_one_more_than_needed(cthread):
    """Go: newextram: who takes the last makes the next."""
    inside, gate = threading.Semaphore(0), threading.Event()
    seen = []

    def callback(_):
        seen.append(extram.extralen())
        inside.release()
        gate.wait(120)

    threads = [cthread(gopark.cgo.callback(callback)) for _ in range(6)]
    for _ in threads:
        assert inside.acquire(timeout=300)
    assert len(bound()) == 6
    assert min(seen) >= 1
    assert extram.extralen() >= 1
    gate.set()
    for thread in threads:
        thread.join()
    assert bound() == []


def test_the_list_is_no_longer_than_the_most_threads_at_once_plus_one(cthread):
    """Ms are used again: waves of threads make no more of them."""
    before = extram.extralen() + len(extram.inuse())
    at_once = 5
    entry = gopark.cgo.callback(lambda _: None)
    for _ in range(20):
        threads = [cthread(entry) for _ in range(at_once)]
        for thread in threads:
            thread.join()
    after = extram.extralen() + len(extram.inuse())
    assert after <= max(before, at_once + 1 + len(extram.inuse()))


def test_an_m_is_bound_until_its_thread_ends_not_until_its_callback_does(cthread, on_thread_exit):
    """Go: TestEnsureBindM, TestEnsureDropM."""
    between = []

    def callback(_):
        on_thread_exit(later)

    def callback_at_exit(_):
        between.append((len(bound()), gopark.runtime.num_goroutine()))

    later = cthread.start_type(gopark.cgo.callback(callback_at_exit))
    cthread(gopark.cgo.callback(callback)).join()
    assert between == [(1, 1)]  # the exit's callback runs on the M that the first one bound
    assert bound() == []


def test_between_two_callbacks_the_g_is_dead_and_counted_nowhere():
    """Go: 4e7067cde4a6: mark extra M's G as dead when not in use."""
    states, gate, out = [], threading.Event(), threading.Event()

    def callback(_):
        states.append(runtime2.tls.m.g)

    entry = gopark.cgo.callback(callback)

    def body():
        entry(None)
        out.set()
        gate.wait(120)

    thread = threading.Thread(target=body)
    thread.start()
    assert out.wait(120)
    (g,) = states
    assert g.status is GDEAD
    assert gopark.runtime.num_goroutine() == 0
    assert gopark.runtime.stack(all=True) == ""
    assert g not in runtime2.allgs
    assert g.elem is None
    assert g.waiting is None
    gate.set()
    thread.join()


def test_idle_extra_ms_are_in_no_dump_and_no_count(cthread):
    entry = gopark.cgo.callback(lambda _: None)
    threads = [cthread(entry) for _ in range(4)]
    for thread in threads:
        thread.join()
    assert extram.extralen() >= 1
    assert gopark.runtime.num_goroutine() == 0
    assert gopark.runtime.stack(all=True) == ""


def test_a_python_threads_m_comes_back_when_the_thread_ends(wait_until):
    ms = []

    async def work():
        ms.append(runtime2.tls.m)

    def body():
        gopark.block(work())
        gopark.block(work())

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert ms[0] is ms[1]
    assert wait_until(lambda: ms[0] not in extram.inuse())


def test_a_c_thread_that_runs_python_first_gives_its_m_back(cthread):
    """A plain ctypes callback, and ours only inside it: not Python's thread, no pinning."""
    entry = gopark.cgo.callback(lambda: len(seen))
    seen = []

    def outer(_):
        for _ in range(3):
            seen.append(entry())

    raw = cthread.start_type(outer)
    cthread(raw).join()
    assert seen == [0, 1, 2]
    assert bound() == []


def test_hundreds_of_c_threads_leave_no_thread_state(cthread, wait_until):
    before = len(sys._current_frames())
    ms = extram.extralen() + len(extram.inuse())
    entry = gopark.cgo.callback(lambda _: None)
    for _ in range(300):
        cthread(entry).join()
    assert wait_until(lambda: len(sys._current_frames()) <= before)
    assert extram.extralen() + len(extram.inuse()) <= ms + 2
    assert bound() == []


@pytest.mark.outside_help
async def test_without_the_exit_hook_the_m_is_given_back_after_each_callback(cthread, monkeypatch):
    monkeypatch.setattr(extram, "_cxa_thread_atexit", None)
    ch, counts = Chan(), []

    async def callback(_):
        counts.append(gopark.runtime.num_goroutine())
        await ch.send("value")

    for _ in range(3):
        thread = cthread(gopark.cgo.callback(callback))
        assert await ch.recv() == "value"
        thread.join()
        assert bound() == []
    assert counts == [2, 2, 2]
    assert gopark.runtime.num_goroutine() == 1


def test_a_callback_sees_the_same_thread_state_each_time(cthread, on_thread_exit):
    """Pinned: the state that ctypes would make and destroy at each call."""
    states = []

    def callback(_):
        states.append(extram._tstate())
        if len(states) == 1:
            on_thread_exit(entry, 5)

    entry = cthread.start_type(gopark.cgo.callback(callback))
    cthread(entry).join()
    assert len(states) == 6
    assert len(set(states)) == 1


# --- the values of a thread that has ended -----------------------------------------------------


def _values_of(work):
    """Run it on a Python thread; all dictionaries that are there once it has an M, and its M."""
    ms, found, go_on, looked = [], [], threading.Event(), threading.Event()

    async def body():
        ms.append(runtime2.tls.m)

    def thread():
        gopark.block(body())
        work()
        looked.set()
        go_on.wait(120)

    t = threading.Thread(target=thread)
    t.start()
    assert looked.wait(120)
    dicts = [o for o in gc.get_objects() if type(o) is dict]
    found += [o for o in dicts if o.get("m") is ms[0] or ms[0] in o.get("_owner", ())]
    go_on.set()
    t.join()
    return ms[0], found


def test_who_drops_the_values_of_a_thread_that_has_ended_keeps_its_own_m(run):
    """Somebody who looks at all objects holds them, and drops them in a goroutine of his own."""
    m, held = _values_of(lambda: None)
    assert held
    assert m in extram.inuse()
    states = []

    async def main():
        held.clear()
        states.append(runtime2.tls.m)
        await gopark.gosched()
        gopark.go(gopark.gosched)
        await gopark.time.sleep(0.001)
        return gopark.block(gopark.gosched())

    assert run(main) is None
    assert states[0] is not None
    assert m not in extram.inuse()


def test_the_values_may_be_dropped_with_the_lists_lock_held(run):
    """By a finaliser, at any line of ours."""
    m, held = _values_of(lambda: None)
    with extram._lock:
        held.clear()
    assert m not in extram.inuse()


def test_an_m_is_given_back_once_whoever_drops_the_values(run):
    """The next thread that comes in may have it at once; the two do not meet."""
    before = len(extram.inuse()) + extram.extralen()
    for _ in range(20):
        _, held = _values_of(lambda: None)
        held.clear()
    assert len(extram.inuse()) + extram.extralen() <= before + 2
    ms = [*extram.inuse(), *extram._extra]
    assert len(set(ms)) == len(ms)


def test_what_a_thread_does_as_it_ends_leaves_no_m_behind(wait_until):
    """Its own `threading.local` values may have finalisers that wait."""
    waited, values = [], threading.local()

    class Last:
        def __del__(self):
            gopark.block(gopark.time.sleep(0.001))
            waited.append(True)

    def thread():
        gopark.block(gopark.gosched())
        values.last = Last()

    for _ in range(3):
        t = threading.Thread(target=thread)
        t.start()
        t.join()
    assert wait_until(lambda: len(waited) == 3)
    assert wait_until(lambda: bound() == [])
