"""Every row of Go's tests is accounted for: a test named after Go's, or a reason why not."""

from __future__ import annotations

from collections import defaultdict

import pytest

import gorows

ROWS = {row.key: row for row in gorows.rows()}
HELD = gorows.held()
REASONS = gorows.reasons()


@pytest.mark.parametrize("area", gorows.AREAS)
def test_no_row_is_dropped_in_silence(area):
    assert [row.key for row in gorows.missing(area)] == []


def test_the_page_shows_every_row_and_what_holds_it():
    assert gorows.PAGE.read_text(encoding="utf-8") == gorows.page(), "run `make conformance`"


def test_marks_and_reasons_name_rows_that_exist():
    assert [key for key in [*HELD, *REASONS] if key not in ROWS] == []


def test_a_row_is_held_or_has_a_reason_and_never_both():
    assert [key for key in REASONS if key in HELD] == []


def test_what_go_calls_portable_is_held():
    """A reason is for what Python gives no meaning, and never for a row marked yes."""
    assert [key for key in REASONS if ROWS[key].portable == "yes"] == []


def test_tests_are_named_after_those_of_go():
    """One that holds several rows, as Go's test and the program it runs, is named after one."""
    marks = defaultdict(list)
    for key, places in HELD.items():
        for place in places:
            marks[place].append(key)
    wrong = [
        f"{place.file}: {place.function} for {keys}"
        for place, keys in marks.items()
        if not any(gorows.named_after(place.function, ROWS[key]) for key in keys if key in ROWS)
    ]
    assert wrong == []


def test_a_reason_is_a_sentence():
    assert [key for key, reason in REASONS.items() if len(reason.split()) < 3] == []


@pytest.mark.parametrize(
    ("go", "ours"),
    [
        ("CgoNumGoroutine", "cgo_num_goroutine"),
        ("RWMutex", "rw_mutex"),
        ("ExampleAfterFunc_cond", "example_after_func_cond"),
        ("HammerStoreLoad", "hammer_store_load"),
        ("Hammer32", "hammer32"),
        ("LockOSThreadExit", "lock_os_thread_exit"),
        ("SIGCONT", "sigcont"),
    ],
)
def test_names_in_snake_case(go, ours):
    assert gorows.snake(go) == ours
