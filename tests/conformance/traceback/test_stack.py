"""The text of a stack. Go: runtime/debug_test.go, traceback_test.go, debug/stack_test.go."""

from __future__ import annotations

import pytest

import gopark
from dumps import functions, goroutines
from gopark import Chan
from gopark.testing import wait_all_parked

HERE = __name__


@pytest.mark.go("runtime", "TestStackOutput")
async def test_stack_output():
    text = gopark.runtime.stack()
    assert text.startswith("goroutine 1 [running]:\n")
    assert len(goroutines(text)) == 1


@pytest.mark.go("runtime", "TestStackAllOutput")
async def test_stack_all_output():
    gopark.go(Chan().recv)
    await wait_all_parked()
    text = gopark.runtime.stack(all=True)
    assert text.startswith("goroutine 1 [running]:\n")
    assert [g.what for g in goroutines(text)] == ["running", "chan receive"]


class T:
    """Methods that look at the stack."""

    def inner(self):
        return gopark.debug.stack()

    def method(self):
        return self.inner()


@pytest.mark.go("runtime/debug", "TestStack")
async def test_stack():
    """A header, then for each frame a line with the function and one with the place."""
    lines = T().method().split("\n")
    assert lines[0] == "goroutine 1 [running]:"
    want = [
        ("gopark.debug.stack", "gopark/_runtime/report/debug.py"),
        (f"{HERE}.T.inner", __file__),
        (f"{HERE}.T.method", __file__),
        (f"{HERE}.test_stack", __file__),
    ]
    for n, (function, file) in enumerate(want):
        assert lines[1 + 2 * n] == f"{function}(...)"
        place, _, line = lines[2 + 2 * n].rpartition(":")
        assert place[0] == "\t"
        assert place.endswith(file)
        assert line.isdigit()
    assert lines[1 + 2 * len(want) :] == [""]


async def test_print_stack_goes_to_stderr(capsys):
    """Go: debug.PrintStack shows itself above the function that it uses."""
    gopark.debug.print_stack()
    seen = capsys.readouterr()
    assert seen.out == ""
    assert functions(seen.err) == ["stack", "print_stack", "test_print_stack_goes_to_stderr"]


def test_there_is_no_stack_where_no_goroutine_runs(capsys):
    assert gopark.debug.stack() == ""
    gopark.debug.print_stack()
    assert capsys.readouterr() == ("", "")


@pytest.mark.go("runtime", "TestTracebackElision")
@pytest.mark.parametrize("elided", [0, 1, 10])
async def test_traceback_elision(elided):
    """The inner and the outer 50 frames are shown, and how many there are between them."""
    texts = Chan(1)

    async def outermost(n):
        await texts.send(deeper(n - 1))

    def deeper(n):
        return deeper(n - 1) if n > 1 else innermost()

    def innermost():
        return gopark.runtime.stack()

    gopark.go(outermost, 100 + elided - 1)
    names = functions(await texts.recv())
    note = [f"...{elided} frames elided..."] if elided else []
    assert names == [
        "innermost",
        *["deeper"] * 49,
        *note,
        *["deeper"] * 49,
        "outermost",
    ]


@pytest.mark.go("runtime", "TestTracebackParentChildGoroutines")
@pytest.mark.usefixtures("procs")
async def test_traceback_parent_child_goroutines():
    """Each goroutine has its own number, and that of who started it."""
    texts = Chan(2)

    async def child():
        await texts.send(gopark.runtime.stack())

    def parent():
        texts.try_send(gopark.runtime.stack())
        gopark.go(child)

    gopark.go(parent)
    ours, theirs = goroutines(await texts.recv())[0], goroutines(await texts.recv())[0]
    name = f"{HERE}.test_traceback_parent_child_goroutines"
    assert ours.creator == f"created by {name} in goroutine 1"
    assert theirs.creator == f"created by {name}.parent in goroutine {ours.goid}"
    assert len({1, ours.goid, theirs.goid}) == 3
