"""What outlives a keeper: a ledger read from its journal is the one that wrote it."""

from __future__ import annotations

import os
import random

import pytest

from gopark.workqueue._journal import Journal
from gopark.workqueue._ledger import Ledger
from gopark.workqueue._settings import Settings


def begun(path, **settings) -> Ledger:
    journal = Journal(str(path))
    ledger = journal.load(0.0)
    if ledger is None:
        ledger = Ledger(Settings(**settings), journal)
        journal.settings(ledger.settings)
    return ledger


def ended(ledger: Ledger) -> None:
    assert isinstance(ledger.log, Journal)
    ledger.log.flush()
    ledger.log.close()


def tells(ledger: Ledger):
    """All that is to outlive a keeper."""
    undone = [*ledger.waiting, *ledger.leased.values(), *ledger.delayed.values()]
    return (
        ledger.settings,
        ledger.closed,
        ledger.seq,
        sorted((job.seq, job.payload) for job in undone),
        sorted((job.seq, job.payload, job.tries, job.why) for job in ledger.dead.values()),
        set(ledger.ids),
    )


def act(ledger: Ledger, rng: random.Random) -> None:
    what = rng.randrange(9)
    if what < 4:
        ledger.put(rng.randbytes(rng.choice([0, 10, 3000])), rng.choice(["", str(rng.random())]), 0)
    elif what == 4 and ledger.dead:
        rng.choice([ledger.requeue, ledger.discard])(rng.choice([*ledger.dead]))
    elif (job := ledger.take("x", 0)) is not None:
        if what < 7:
            ledger.ack(job.seq)
        elif what == 7:
            ledger.bury(job.seq, job.tries, "because ü")
        else:
            ledger.again(job.seq, job.tries, 0, rng.random() < 0.5, 0)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("slack", [1 << 20, 100])
def test_a_ledger_comes_back_as_it_was(tmp_path, seed, slack):
    rng = random.Random(seed)
    ledger = begun(tmp_path / "log", cap=1000, lease=7.0)
    assert isinstance(ledger.log, Journal)
    ledger.log._limit = slack
    for n in range(400):
        act(ledger, rng)
        ledger.log.flush()
        ledger.log.compact(ledger, 0.0)
        if n % 50 == 49:
            if n == 299:
                ledger.close()
            before = tells(ledger)
            ended(ledger)
            ledger = begun(tmp_path / "log")
            assert tells(ledger) == before
            assert isinstance(ledger.log, Journal)
    ended(ledger)


def test_tries_are_counted_on_and_who_has_a_job_may_keep_it_for_a_lease(tmp_path):
    ledger = begun(tmp_path / "log", lease=7.0)
    ledger.put(b"x", "", 0)
    for _ in range(2):
        job = ledger.take("a", 0)
        assert job is not None
        ledger.again(job.seq, job.tries, 0, False, 0)
    job = ledger.take("a", 0)
    assert job is not None
    ended(ledger)
    ledger = begun(tmp_path / "log")
    assert ledger.take("b", 6.9) is None
    assert ledger.touch(job.seq, 3, "a", 6.0)
    assert ledger.expire(7.0) == 0
    assert ledger.expire(13.0) == 1
    again = ledger.take("b", 13.0)
    assert again is not None
    assert again.tries == 4
    ended(ledger)


@pytest.mark.parametrize("cut", [1, 5, 9, 14])
def test_a_record_that_is_cut_off_is_dropped_and_the_rest_goes_on(tmp_path, cut):
    ledger = begun(tmp_path / "log")
    ledger.put(b"first", "", 0)
    ended(ledger)
    whole = os.path.getsize(tmp_path / "log")
    ledger = begun(tmp_path / "log")
    ledger.put(b"second", "", 0)
    ended(ledger)
    os.truncate(tmp_path / "log", os.path.getsize(tmp_path / "log") - cut)
    ledger = begun(tmp_path / "log")
    assert [job.payload for job in ledger.waiting] == [b"first"]
    ended(ledger)
    assert os.path.getsize(tmp_path / "log") == whole
    ledger = begun(tmp_path / "log")
    ledger.put(b"third", "", 0)
    ended(ledger)
    ledger = begun(tmp_path / "log")
    assert [job.payload for job in ledger.waiting] == [b"first", b"third"]
    ended(ledger)


def test_a_journal_of_work_that_is_done_stays_small(tmp_path):
    ledger = begun(tmp_path / "log")
    assert isinstance(ledger.log, Journal)
    for _ in range(5000):
        ledger.put(bytes(1000), "", 0)
        job = ledger.take("a", 0)
        assert job is not None
        ledger.ack(job.seq)
        ledger.log.flush()
        ledger.log.compact(ledger, 0.0)
    assert os.path.getsize(tmp_path / "log") <= 1_100_000
    assert begun(tmp_path / "log").seq == 5000
    ended(ledger)
