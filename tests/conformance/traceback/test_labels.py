"""Labels of goroutines in headers. Go: runtime/traceback_test.go, TestTracebackGoroutineLabels*."""

from __future__ import annotations

import pytest

from harness import run

LABELS = [
    "{foobar: baz}",
    "{fizzle: bit, foobar: baz}",
    "{/fizzle: bit, foo_bar: baz.}",
    '{fizzle: bit, "foobar:": baz}',
    r'{fizzle: bit, foobar: "baz\n"}',
    r'{fizzle: "b\x1bit", "foo\"ba\x00r": "baz\n"}',
    r'{fizzle: "\u1234\u03a3", "fooba\x00r": "baz\n"}',
    r'{"fizz\tle": "\U00045678boop", "fooba\x00r": "baz\n"}',
    r'{"fiz\\zl\re": "\U00045678boop", "fooba\x00r": "baz\n"}',
    r'{"a b": "\u007f"}',
]


@pytest.mark.go("runtime", "TestTracebackGoroutineLabels")
@pytest.mark.parametrize("more", ["", ",checksched=1,tracebackancestors=1"])
def test_traceback_goroutine_labels(more):
    """In the parent, in a child that runs, and in one that waits, seen by another."""
    ended = run("testprog", "TracebackLabels", env={"GOPARKDEBUG": f"tracebacklabels=1{more}"})
    assert (ended.stderr, ended.status) == ("", 0)
    lines = ended.stdout.splitlines()
    assert lines[:-1] == [
        f"goroutine {who} [{what}] {text}:"
        for text in LABELS
        for who, what in (("1", "running"), ("N", "running"), ("N", "chan receive"))
    ]
    assert lines[-1] == "goroutine 1 [running]:"  # the labels were taken back


@pytest.mark.go("runtime", "TestTracebackGoroutineLabelsDisabledGODEBUG")
@pytest.mark.parametrize("setting", ["", "tracebacklabels=0"])
def test_traceback_goroutine_labels_disabled_godebug(setting):
    ended = run("testprog", "TracebackLabels", env={"GOPARKDEBUG": setting})
    assert (ended.stderr, ended.status) == ("", 0)
    want = ["goroutine 1 [running]:", "goroutine N [running]:", "goroutine N [chan receive]:"]
    assert ended.stdout.splitlines() == want * len(LABELS) + want[:1]


@pytest.mark.go("runtime", "TestTracebackGoroutineLabels")
def test_traceback_goroutine_labels__in_the_report_of_a_panic():
    ended = run(
        "testprog", "PanicLabels", env={"GOPARKDEBUG": "tracebacklabels=1", "GOTRACEBACK": "all"}
    )
    assert ended.status == 2
    assert " [running] {job: failed}:\n" in ended.stderr
    assert "goroutine 1 [select (no cases)]:\n" in ended.stderr


def test_labels_of_goroutines_that_wait_on_a_thread():
    ended = run("testprog", "LabelsOnThreads", env={"GOPARKDEBUG": "tracebacklabels=1"})
    assert (ended.stderr, ended.status) == ("", 0)
    assert sorted(ended.stdout.splitlines()) == sorted(
        [
            "[chan receive] {kind: plain}:",
            "[chan receive] {kind: parent}:",
            "[chan receive, locked to thread] {kind: locked}:",
            "[chan receive, locked to thread] {kind: plain}:",  # the callback
            "[chan receive, locked to thread] {kind: thread}:",
        ]
    )
