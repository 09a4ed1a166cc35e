"""The end of a goroutine and of a program: goexit, panic. (Exit status: tests/crash.)"""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import sys
import threading
import time
import traceback

import pytest

import gopark
from dumps import goroutines
from gopark import Chan
from gopark._runtime.base.errors import Goexit
from gopark._runtime.report.printpanics import panictext
from gopark.testing import wait_all_parked
from harness import Ended, run_python


def raised(fn):
    try:
        fn()
    except BaseException as exc:
        return exc
    raise AssertionError("nothing was raised")


# --- panic ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("plain", [False, True])
def test_an_uncaught_exception_of_a_goroutine_ends_the_program(run, capsys, plain):
    error = ValueError("boom")

    async def fails():
        await gopark.gosched()
        raise error

    def plain_fails():
        raise error

    async def main():
        gopark.go(plain_fails if plain else fails)
        await Chan().recv()

    with pytest.raises(gopark.FatalError) as caught:
        run(main)
    assert caught.value.code == 2
    assert caught.value.__cause__ is error
    assert str(caught.value) == "panic: ValueError: boom"
    name = "plain_fails" if plain else "fails"
    here = f"{__name__}.{test_an_uncaught_exception_of_a_goroutine_ends_the_program.__name__}"
    lines = capsys.readouterr().err.split("\n")
    assert lines[0] == "panic: ValueError: boom"
    assert lines[1] == ""
    assert lines[2].startswith("goroutine ")
    assert lines[2].endswith(" [running]:")
    assert lines[3] == f"{here}.{name}(...)"
    assert lines[4].startswith(f"\t{__file__}:")
    assert lines[5] == f"created by {here}.main in goroutine 1"
    assert lines[6].startswith(f"\t{__file__}:")
    assert lines[7:] == [""]


def test_only_the_first_panic_is_reported(run, capsys):
    async def fails(n):
        raise ValueError(n)

    async def main():
        for n in range(5):
            gopark.go(fails, n)
        await Chan().recv()

    with pytest.raises(gopark.FatalError):
        run(main)
    assert capsys.readouterr().err.count("panic:") == 1


def test_a_panic_wins_over_mains_own_result_and_the_next_run_is_clean(run, capsys):
    async def fails():
        raise ValueError("boom")

    async def main():
        gopark.go(fails)
        await wait_all_parked()
        return "never"

    with pytest.raises(gopark.FatalError):
        run(main)
    capsys.readouterr()

    async def fine():
        return "fine"

    assert run(fine) == "fine"


def test_an_exception_that_a_goroutine_catches_is_its_own_business(run, capsys):
    async def careful(done):
        try:
            raise ValueError
        except ValueError:
            await done.send("handled")

    async def main():
        done = Chan()
        gopark.go(careful, done)
        return await done.recv()

    assert run(main) == "handled"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("plain", [False, True])
def test_stop_iteration_out_of_a_goroutine_is_a_panic_not_its_end(run, capsys, plain):
    async def fails():
        raise StopIteration("lost")

    def plain_fails():
        raise StopIteration("lost")

    async def main():
        gopark.go(plain_fails if plain else fails)
        await Chan().recv()

    with pytest.raises(gopark.FatalError):
        run(main)
    assert "StopIteration" in capsys.readouterr().err


def test_sys_exit_in_a_goroutine_ends_the_program_with_its_status(run, capsys):
    """Go: os.Exit."""

    async def leaves():
        raise SystemExit(7)

    async def main():
        gopark.go(leaves)
        await Chan().recv()

    with pytest.raises(SystemExit) as caught:
        run(main)
    assert caught.value.code == 7
    assert capsys.readouterr().err == ""


def test_a_panic_shows_where_the_exception_was_raised_down_to_the_goroutine(run, capsys):
    async def deepest():
        raise ValueError

    async def middle():
        await deepest()

    async def worker():
        await middle()

    async def main():
        gopark.go(worker)
        await Chan().recv()

    with pytest.raises(gopark.FatalError):
        run(main)
    functions = [
        line.rpartition(".")[2] for line in capsys.readouterr().err.split("\n") if "(...)" in line
    ]
    text = [f.removesuffix(")").strip("(.") for f in functions]
    assert len(text) == 3


class Problem(Exception):
    """An exception of this module."""


def chained():
    try:
        raise ValueError("first")
    except ValueError as exc:
        raise KeyError("second") from exc


def during():
    try:
        raise ValueError("first")
    except ValueError:
        raise KeyError("second")  # noqa: B904


def hidden_cause():
    try:
        raise ValueError("first")
    except ValueError:
        raise KeyError("second") from None


def thrice():
    try:
        chained()
    except KeyError:
        raise TypeError("third")  # noqa: B904


def say(exc):
    def fn():
        raise exc

    return fn


@pytest.mark.parametrize(
    ("fn", "text"),
    [
        (say(ValueError("x")), "panic: ValueError: x"),
        (say(ValueError()), "panic: ValueError"),
        (say(Problem("x")), f"panic: {Problem.__module__}.Problem: x"),
        (say(ValueError("two\nlines")), "panic: ValueError: two\n\tlines"),
        (
            chained,
            "panic: ValueError: first [recovered]\n\tpanic: KeyError: 'second'",
        ),
        (during, "panic: ValueError: first [recovered]\n\tpanic: KeyError: 'second'"),
        (hidden_cause, "panic: KeyError: 'second'"),
        (
            thrice,
            "panic: ValueError: first [recovered]\n"
            "\tpanic: KeyError: 'second' [recovered]\n"
            "\tpanic: TypeError: third",
        ),
    ],
)
def test_the_text_of_a_panic_and_of_a_chain(fn, text):
    """Go: printpanics: `[recovered]`, each later line indented by a tab."""
    assert panictext(raised(fn))[0] == text


def test_a_value_whose_printing_fails_is_a_fatal_error():
    """Go: fatal error: panic while printing panic value."""

    class Bad(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    text, last = panictext(Bad())
    assert text == last == "fatal error: panic while printing panic value: no text"


def test_a_ring_of_causes_ends():
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    assert panictext(first)[0].count("panic:") == 2


# --- goexit -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("plain", [False, True])
async def test_goexit_ends_the_goroutine_and_runs_its_finally_blocks(plain):
    """Go: TestGoexit family."""
    log, done = [], Chan()

    async def async_worker():
        try:
            with pytest.raises(ZeroDivisionError):
                _ = 1 / 0
            gopark.goexit()
            log.append("not reached")
        finally:
            await gopark.gosched()
            log.append("finally")
            done.close()

    def plain_worker():
        try:
            gopark.goexit()
            log.append("not reached")
        finally:
            gopark.block(gopark.gosched())
            log.append("finally")
            done.close()

    gopark.go(plain_worker if plain else async_worker)
    await done.recv()
    await wait_all_parked()
    assert log == ["finally"]
    assert gopark.runtime.num_goroutine() == 1


@pytest.mark.usefixtures("procs")
async def test_goexit_passes_except_exception_by():
    log, done = [], Chan()

    async def worker():
        try:
            gopark.goexit()
        except Exception:
            log.append("caught")
        finally:
            done.close()

    gopark.go(worker)
    await done.recv()
    assert log == []


@pytest.mark.usefixtures("procs")
async def test_goexit_inside_block_ends_the_plain_goroutine():
    log, done = [], Chan()

    async def inner():
        gopark.goexit()

    def plain():
        try:
            gopark.block(inner())
            log.append("not reached")
        finally:
            done.close()

    gopark.go(plain)
    await done.recv()
    assert log == []


@pytest.mark.parametrize("plain", [False, True])
async def test_a_goexit_that_is_swallowed_is_not_the_next_goroutines(plain):
    async def swallows():
        with contextlib.suppress(BaseException):
            gopark.goexit()

    def swallows_plainly():
        with contextlib.suppress(BaseException):
            gopark.goexit()

    pid = ctypes.CDLL(None).getpid
    pids = Chan(10)

    async def calls():
        pids.try_send(gopark.cgo.call(pid))  # raises in one that is to end

    for _ in range(10):
        gopark.go(swallows_plainly if plain else swallows)
    await wait_all_parked()
    for _ in range(10):
        gopark.go(calls)
    await wait_all_parked()
    assert len(pids) == 10


def test_goexit_where_no_goroutine_runs_says_so():
    with pytest.raises(Goexit, match="none runs here"):
        gopark.goexit()


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("plain", [False, True])
def test_goexit_in_main_lets_the_others_finish_and_then_the_program_is_dead(run, capsys, plain):
    """Go: TestGoexitDeadlock, TestGoexitExit."""
    log = []

    async def worker(n):
        await gopark.time.sleep(0.001 * n)
        log.append(n)

    def main():
        for n in range(5):
            gopark.go(worker, n)
        gopark.goexit()

    async def async_main():
        main()

    with pytest.raises(gopark.DeadlockError):
        run(main if plain else async_main)
    assert sorted(log) == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err == (
        "fatal error: no goroutines (main called runtime.Goexit) - deadlock!\n"
    )


def test_a_panic_after_goexit_in_main_is_a_panic(run, capsys):
    """Go: TestGoexitInPanic's counterpart."""

    async def fails():
        raise ValueError("later")

    async def main():
        gopark.go(fails)
        gopark.goexit()

    with pytest.raises(gopark.FatalError) as caught:
        run(main)
    assert not isinstance(caught.value, gopark.DeadlockError)
    assert capsys.readouterr().err.startswith("panic: ValueError: later\n")


# --- hooks and handlers -----------------------------------------------------------------------


async def bad():
    error = ValueError("x")
    error.add_note("see runbook 17")
    raise error


async def wait_for_the_end():
    gopark.go(bad)
    await Chan().recv()


def test_excepthook_is_told_once_before_the_report(run, capsys, monkeypatch):
    told, var = [], contextvars.ContextVar("var")

    def hook(kind, exc, tb):
        names = [frame.name for frame in traceback.extract_tb(tb)]
        told.append((kind, repr(exc), names, var.get(None), capsys.readouterr().err))

    async def main():
        var.set("the goroutine's")
        await wait_for_the_end()

    monkeypatch.setattr(sys, "excepthook", hook)
    monkeypatch.setattr(threading, "excepthook", hook)
    with pytest.raises(gopark.FatalError, match="panic: ValueError: x"):
        run(main)
    assert told == [(ValueError, "ValueError('x')", ["bad"], "the goroutine's", "")]
    report = "panic: ValueError: x\n\tsee runbook 17\n\ngoroutine "
    assert capsys.readouterr().err.startswith(report)


def test_an_excepthook_that_fails_hides_nothing(run, capsys, monkeypatch):
    def hook(*_):
        raise KeyError("in the hook")

    monkeypatch.setattr(sys, "excepthook", hook)
    with pytest.raises(gopark.FatalError):
        run(wait_for_the_end)
    err = capsys.readouterr().err
    assert err.startswith("Error in sys.excepthook:\n")
    assert "KeyError: 'in the hook'\npanic: ValueError: x\n" in err


@pytest.mark.parametrize("gone", [False, True])
def test_without_an_excepthook_the_report_is_all_there_is(run, capsys, monkeypatch, gone):
    if gone:
        monkeypatch.delattr(sys, "excepthook")
    else:
        monkeypatch.setattr(sys, "excepthook", None)
    with pytest.raises(gopark.FatalError):
        run(wait_for_the_end)
    assert capsys.readouterr().err.startswith("panic: ValueError: x\n")


@pytest.mark.usefixtures("procs")
def test_main_waits_until_the_hook_has_been_told(run, capsys, monkeypatch):
    begun, ended = threading.Event(), []

    def hook(*_):
        begun.set()
        gopark.cgo.call(time.sleep, 0.05)
        ended.append(True)

    async def main():
        gopark.go(bad)
        while not begun.is_set():
            await gopark.gosched()

    monkeypatch.setattr(sys, "excepthook", hook)
    with pytest.raises(gopark.FatalError):
        run(main)
    assert ended
    assert "panic: ValueError: x" in capsys.readouterr().err


def test_two_panics_are_told_once(run, capsys, monkeypatch):
    told = []

    def hook(*_):
        told.append(True)
        gopark.go(bad)
        gopark.cgo.call(time.sleep, 0.02)

    monkeypatch.setattr(sys, "excepthook", hook)
    with pytest.raises(gopark.FatalError):
        run(wait_for_the_end)
    assert told == [True]
    assert capsys.readouterr().err.count("panic: ") == 1


@pytest.fixture
def handled():
    """Set as the panic handler; what it got."""
    got = []
    before = gopark.set_panic_handler(lambda *args: got.append(args))
    assert before is None
    yield got
    gopark.set_panic_handler(None)


@pytest.mark.usefixtures("procs")
def test_a_handler_lets_the_program_live(run, capsys, handled, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", lambda *_: handled.append("told the hook"))

    def plain_bad():
        raise KeyError("plain")

    async def main():
        gopark.go(bad)
        gopark.go(plain_bad)
        while len(handled) < 2:
            await gopark.gosched()
        await wait_all_parked()
        return gopark.runtime.num_goroutine()

    assert run(main) == 1
    handled.sort(key=lambda args: args[1])
    assert [repr(exc) for exc, _, _ in handled] == ["ValueError('x')", "KeyError('plain')"]
    _, goid, report = handled[0]
    text = "panic: ValueError: x\n\tsee runbook 17\n\n"
    assert report.startswith(f"{text}goroutine {goid} [running]:\n")
    assert f"{__name__}.bad(...)\n" in report
    assert capsys.readouterr().err == ""


def test_a_handler_that_raises_ends_the_program_with_both(run, capsys):
    def handler(exc, goid, report):
        raise KeyError("in the handler")

    gopark.set_panic_handler(handler)
    try:
        with pytest.raises(gopark.FatalError) as caught:
            run(wait_for_the_end)
    finally:
        assert gopark.set_panic_handler(None) is handler
    assert isinstance(caught.value.__cause__, KeyError)
    assert isinstance(caught.value.__cause__.__context__, ValueError)
    text, _, stack = capsys.readouterr().err.partition("\n\n")
    assert text.split("\n") == [
        "panic: ValueError: x",
        "\tsee runbook 17",
        "\tpanic: KeyError: 'in the handler'",
    ]
    functions = goroutines(stack)[0].functions
    assert functions == ["handler", "panic", "bad"]


def test_sys_exit_in_a_handler_is_the_end(run):
    gopark.set_panic_handler(lambda *_: sys.exit(7))
    try:
        with pytest.raises(SystemExit) as caught:
            run(wait_for_the_end)
    finally:
        gopark.set_panic_handler(None)
    assert caught.value.code == 7


def test_a_handler_gets_what_a_callback_from_c_raises(run, handled):
    def fails():
        raise ValueError("in a callback")

    async def main():
        gopark.go(gopark.cgo.callback(fails))
        while not handled:
            await gopark.gosched()
        await wait_all_parked()

    run(main)
    assert [repr(exc) for exc, _, _ in handled] == ["ValueError('in a callback')"]


@pytest.mark.parametrize("handler", [1, lambda: None, wait_for_the_end, str.upper])
def test_a_handler_that_cannot_be_one_is_refused(handler):
    with pytest.raises(TypeError, match="set_panic_handler"):
        gopark.set_panic_handler(handler)


UNREAD = """
import os, sys, time
import gopark

def worker():
    raise ValueError("lost")

async def main():
    gopark.go(worker)
    await gopark.time.sleep(60)

r, w = os.pipe()
os.dup2(w, 2)
os.close(w)
os.close(r)
if sys.argv[1] == "closed":
    os.close(2)
try:
    gopark.run(main)
finally:
    print("finally")
"""


@pytest.mark.parametrize("how", ["closed", "nobody reads"])
def test_a_panic_whose_report_nobody_can_get_is_a_panic_all_the_same(how):
    """Not an error of gopark's own, which ends the process with nothing put away."""
    assert run_python(["-c", UNREAD, how]) == Ended("finally\n", "", 2)
