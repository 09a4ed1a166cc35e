"""The state table, notes, and what a dead G holds."""

from __future__ import annotations

import itertools
import threading
from collections import deque

import pytest

from gopark._runtime.base import runtime2
from gopark._runtime.base.errors import Throw
from gopark._runtime.base.runtime2 import (
    GDEAD,
    GIDLE,
    GRUNNABLE,
    GRUNNING,
    GSYSCALL,
    GWAITING,
    TRANSITIONS,
    G,
    Note,
    casgstatus,
    itemsof,
)

STATES = {s: s.name for s in (GIDLE, GRUNNABLE, GRUNNING, GSYSCALL, GWAITING, GDEAD)}
LEGAL = {(old, new) for old, news in TRANSITIONS.items() for new in news}
ALL = set(itertools.product(STATES, STATES))


def g_in(status):
    g = G(next(runtime2.goids))
    g.status = status
    return g


def test_the_states_have_gos_names():
    """Go: gStatusStrings."""
    assert list(STATES.values()) == [
        "idle",
        "runnable",
        "running",
        "syscall",
        "waiting",
        "dead",
    ]
    assert set(TRANSITIONS) == set(STATES)


@pytest.mark.parametrize(("old", "new"), sorted(LEGAL, key=str))
def test_a_legal_move_is_made(old, new):
    g = g_in(old)
    casgstatus(g, old, new)
    assert g.status == new


@pytest.mark.parametrize(("old", "new"), sorted(ALL - LEGAL, key=str))
def test_an_illegal_move_is_refused_and_names_both_states(old, new):
    g = g_in(old)
    with pytest.raises(Throw) as caught:
        casgstatus(g, old, new)
    text = str(caught.value)
    assert f"goroutine {g.goid} is" in text
    assert f"{STATES[old]} -> {STATES[new]}" in text
    assert g.status == old


def test_a_move_from_another_state_than_the_expected_is_refused():
    g = g_in(GWAITING)
    with pytest.raises(Throw, match="is waiting; illegal move runnable -> running"):
        casgstatus(g, GRUNNABLE, GRUNNING)
    assert g.status == GWAITING


def test_the_life_of_a_goroutine_and_of_an_extra_ms_g_are_in_the_table():
    for life in (
        (GIDLE, GRUNNABLE, GRUNNING, GWAITING, GRUNNABLE, GRUNNING, GDEAD),
        (GIDLE, GDEAD, GSYSCALL, GRUNNING, GSYSCALL, GDEAD),
        (GRUNNING, GDEAD, GRUNNABLE),  # a dead G is used again, as in Go
        (GRUNNING, GSYSCALL, GRUNNING, GRUNNABLE),
    ):
        assert all(move in LEGAL for move in itertools.pairwise(life))
    assert (GDEAD, GRUNNING) not in LEGAL
    assert (GDEAD, GWAITING) not in LEGAL
    assert (GWAITING, GWAITING) not in LEGAL


def test_a_new_g_is_idle_and_a_cleared_one_holds_nothing():
    g = g_in(GRUNNING)
    g.elem = g.coro = g.ctx = g.waiting = object()
    g.clear()
    held = [
        getattr(g, name)
        for name in ("coro", "ctx", "elem", "waiting", "m", "lockedm", "goglobals", "gocode")
    ]
    assert held == [None] * len(held)


def test_goids_are_never_handed_out_twice():
    taken: list[int] = []

    def take():
        mine = [next(runtime2.goids) for _ in range(2000)]
        taken.extend(mine)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == len(taken) == 8000


# --- notes ------------------------------------------------------------------------------------


def test_a_wakeup_before_the_sleep_is_kept():
    """Go: note: notewakeup before notesleep."""
    note = Note()
    note.wakeup()
    assert note.sleep(10) is True


def test_several_wakeups_are_one():
    note = Note()
    for _ in range(3):
        note.wakeup()
    assert note.sleep(10) is True
    assert note.sleep(0.001) is False


def test_a_sleeper_is_woken_by_another_thread_each_time():
    there, back, seen = Note(), Note(), []

    def thread():
        for _ in range(100):
            there.sleep()
            seen.append(True)
            back.wakeup()

    t = threading.Thread(target=thread)
    t.start()
    for _ in range(100):
        there.wakeup()
        assert back.sleep(30)
    t.join()
    assert len(seen) == 100


def test_a_sleep_longer_than_a_lock_can_wait_is_cut_short_not_refused():
    note = Note()
    note.wakeup()
    assert note.sleep(1e300) is True


def test_getg_outside_any_goroutine_is_none():
    assert runtime2.getg() is None


def test_repr_of_a_g_names_its_state():
    g = g_in(GWAITING)
    assert repr(g) == f"<G {g.goid} waiting>"


def test_the_items_of_a_queue_are_those_of_one_moment_whoever_changes_it():
    queue, over = deque(range(5)), threading.Event()

    def changes():
        for n in itertools.count(5):
            queue.append(n)
            queue.popleft()
            if over.is_set():
                return

    thread = threading.Thread(target=changes)
    thread.start()
    try:
        for _ in range(2000):
            items = itemsof(queue)
            assert items == list(range(items[0], items[0] + len(items)))
            assert len(items) in (5, 6)
    finally:
        over.set()
        thread.join()
