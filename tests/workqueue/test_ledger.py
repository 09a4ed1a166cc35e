"""The lease protocol, without time or processes: a model decides what is right."""

from __future__ import annotations

import random

import pytest

from gopark.workqueue._ledger import CLOSED, DUPLICATE, FULL, STORED, Ledger
from gopark.workqueue._settings import Settings


def holds(ledger: Ledger) -> None:
    """The invariants of the module."""
    waiting = [job.seq for job in ledger.waiting]
    places = [*waiting, *ledger.leased, *ledger.delayed, *ledger.dead]
    assert len(places) == len(set(places)), "a job is in one place"
    assert ledger.undone == len(waiting) + len(ledger.leased) + len(ledger.delayed)
    ends = [job.until for job in ledger.leased.values()]
    assert ends == sorted(ends), "leases stand in the order of their end"


def test_a_lease_that_was_lost_gives_nothing_back():
    ledger = Ledger(Settings(lease=10))
    ledger.put(b"x", "", 0)
    job = ledger.take("a", 0)
    assert job is not None
    assert ledger.expire(9.9) == 0
    assert ledger.expire(10) == 1
    again = ledger.take("b", 10)
    assert again is job
    assert not ledger.again(job.seq, 1, 0, False, 11), "that is b's now"
    assert not ledger.bury(job.seq, 1, "x")
    assert not ledger.touch(job.seq, 1, "a", 11)
    assert ledger.touch(job.seq, 2, "b", 11)
    assert ledger.due() == 21
    assert ledger.ack(job.seq), "the work is done, whoever says so"
    assert not ledger.ack(job.seq)
    assert ledger.undone == 0


def test_a_late_acknowledgement_finds_what_waits_again():
    ledger = Ledger(Settings(lease=1))
    ledger.put(b"x", "", 0)
    job = ledger.take("a", 0)
    assert job is not None
    ledger.expire(1)
    assert ledger.ack(job.seq)
    assert ledger.take("b", 1) is None


def test_full_closed_and_twice_are_told_apart():
    ledger = Ledger(Settings(cap=2))
    assert ledger.put(b"1", "a", 0) == STORED
    assert ledger.put(b"1", "a", 119) == DUPLICATE
    assert ledger.put(b"2", "b", 0) == STORED
    assert ledger.put(b"3", "c", 0) == FULL
    job = ledger.take("x", 0)
    assert job is not None
    assert ledger.put(b"3", "c", 0) == FULL, "what is leased is not done"
    ledger.ack(job.seq)
    assert ledger.put(b"1", "a", 120) == STORED, "two minutes are over"
    ledger.close()
    assert ledger.put(b"4", "", 0) == CLOSED


def test_who_has_gone_leaves_all_it_had_in_order():
    ledger, a, b = Ledger(Settings()), object(), object()
    for n in range(4):
        ledger.put(b"%d" % n, "", 0)
    for holder in (a, a, b, b):
        ledger.take(holder, 0)
    assert ledger.drop(a, 1) == 2
    assert [job.payload for job in ledger.waiting] == [b"0", b"1"]
    holds(ledger)


@pytest.mark.parametrize("seed", range(30))
def test_random_histories_keep_the_laws(seed):
    """No job is lost or done after its end, and none is held for longer than a lease."""
    rng = random.Random(seed)
    settings = Settings(cap=rng.choice([1, 5, 40]), lease=10.0, tries=3)
    ledger = Ledger(settings)
    now, sent, done, dead = 0.0, set(), set(), set()
    held: list[tuple[int, int]] = []
    for _ in range(2000):
        now += rng.random()
        ledger.expire(now)
        what = rng.randrange(8)
        if what < 3 and ledger.put(b"", "", now) == STORED:
            sent.add(ledger.seq)
        elif what < 5 and (job := ledger.take(rng.randrange(3), now)) is not None:
            assert job.seq in sent - done - dead, "nothing comes back from its end"
            held.append((job.seq, job.tries))
        elif held:
            seq, tries = held.pop(rng.randrange(len(held)))
            if what == 5 and ledger.ack(seq):
                assert seq not in done
                done.add(seq)
            elif what == 6:
                ledger.again(seq, tries, rng.choice([0, 3.0]), rng.random() < 0.2, now)
            elif what == 7 and ledger.bury(seq, tries, "x"):
                dead.add(seq)
        holds(ledger)
        assert all(job.until > now for job in ledger.leased.values())
        assert ledger.undone <= settings.cap
    left = {job.seq for job in ledger.waiting} | {*ledger.leased} | {*ledger.delayed}
    assert left | done | dead == sent
    assert not left & (done | dead)
    assert set(ledger.dead) == dead
