"""Which frames a stack names, an exception under way or not. Go: runtime/callers_test.go.

Go's list of callers is the stack here, its `runtime.gopanic` the frame `panic`, a deferred
function an `except` or `finally` block, which has the frame that it stands in.
"""

from __future__ import annotations

import pytest

import gopark
from dumps import Frame, functions, goroutines, lineof
from gopark import Chan

HERE = __name__


def f1(fail):
    return f2(fail)  # f1 calls


def f2(fail):
    return f3(fail)  # f2 calls


def f3(fail):
    if fail:
        raise ValueError("f3")  # f3 raises
    return gopark.runtime.stack()  # f3 looks


def frame(fn, marker):
    return Frame(f"{HERE}.{fn.__name__}", __file__, lineof(fn, marker))


# --- no exception ------------------------------------------------------------------------------


@pytest.mark.go("runtime", "TestCallers")
async def test_callers():
    (me,) = goroutines(f1(False))
    assert me.frames[:3] == [
        frame(f3, "# f3 looks"),
        frame(f2, "# f2 calls"),
        frame(f1, "# f1 calls"),
    ]
    assert me.functions[3:] == ["test_callers"]


@pytest.mark.go("runtime", "TestCaller")
@pytest.mark.usefixtures("procs")
async def test_caller():
    """From many goroutines of both kinds at once, each has its own frames and lines."""
    n, looks = 16, 20
    found = Chan(n)

    def inner():
        return goroutines(gopark.runtime.stack())[0].frames[:2]  # inner looks

    def outer():
        return inner()  # outer calls

    async def coroutine():
        seen = []
        for _ in range(looks):
            seen.append(outer())
            await gopark.gosched()
        await found.send(seen)

    def plain():
        found.try_send([outer() for _ in range(looks)])

    for _ in range(n // 2):
        gopark.go(coroutine)
        gopark.go(plain)
    want = [
        Frame(f"{HERE}.test_caller.inner", __file__, lineof(inner, "# inner looks")),
        Frame(f"{HERE}.test_caller.outer", __file__, lineof(outer, "# outer calls")),
    ]
    for _ in range(n):
        assert await found.recv() == [want] * looks


@pytest.mark.go("runtime", "TestLineNumber")
async def test_line_number():
    """A call inside a literal of several lines has the line of the call."""

    def where():
        return goroutines(gopark.runtime.stack())[0].frames[1].line

    def literal():
        return [
            where(),  # first
            {
                "a": where(),  # second
                "b": (
                    0,
                    max(where(), 0),  # third
                ),
            },
        ]

    first, rest = literal()
    assert first == lineof(literal, "# first")
    assert rest["a"] == lineof(literal, "# second")
    assert rest["b"][1] == lineof(literal, "# third")


# --- an exception under way --------------------------------------------------------------------


@pytest.mark.go("runtime", "TestCallersPanic")
async def test_callers_panic():
    text = ""
    try:
        f1(True)
    except ValueError:
        text = gopark.runtime.stack()
    (me,) = goroutines(text)
    assert me.functions == ["test_callers_panic", "panic", "f3", "f2", "f1", "test_callers_panic"]
    assert me.frames[2:5] == [
        frame(f3, "# f3 raises"),
        frame(f2, "# f2 calls"),
        frame(f1, "# f1 calls"),
    ]


@pytest.mark.go("runtime", "TestCallersPanic")
async def test_callers_panic__in_a_finally_in_a_function_called_there_and_through_awaits():
    texts = []

    def look():
        texts.append(gopark.runtime.stack())

    async def fails():
        await gopark.gosched()
        f1(True)

    async def middle():
        try:
            await fails()
        finally:
            look()

    with pytest.raises(ValueError, match="f3"):
        await middle()
    here = "test_callers_panic__in_a_finally_in_a_function_called_there_and_through_awaits"
    want = ["look", "middle", "panic", "f3", "f2", "f1", "fails", "middle", here]
    assert functions(texts[0]) == want


@pytest.mark.go("runtime", "TestCallersDoublePanic")
async def test_callers_double_panic():
    text = ""

    def fails():
        try:
            raise ValueError(1)
        finally:
            raise ValueError(2)

    try:
        fails()
    except ValueError:
        text = gopark.runtime.stack()
    name = "test_callers_double_panic"
    assert functions(text) == [name, "panic", "fails", "panic", "fails", name]


@pytest.mark.go("runtime", "TestCallersAfterRecovery")
async def test_callers_after_recovery():
    def recovers():
        try:
            f1(True)
        except ValueError:
            pass
        return gopark.runtime.stack()

    assert functions(recovers()) == ["recovers", "test_callers_after_recovery"]


@pytest.mark.go("runtime", "TestCallersAbortedPanic")
async def test_callers_aborted_panic():
    """The first exception went with the one that took its place."""
    caught = []

    def recovers():
        try:
            try:
                raise ValueError("panic1")
            finally:
                raise ValueError("panic2")
        except ValueError as error:
            caught.append(str(error))
        return gopark.runtime.stack()

    assert functions(recovers()) == ["recovers", "test_callers_aborted_panic"]
    assert caught == ["panic2"]


@pytest.mark.go("runtime", "TestCallersAbortedPanic2")
async def test_callers_aborted_panic2():
    def fails():
        try:
            raise ValueError("panic1")
        finally:
            raise ValueError("panic2")

    def recovers():
        with pytest.raises(ValueError, match="panic2"):
            fails()

    def look():
        recovers()
        return gopark.runtime.stack()

    assert functions(look()) == ["look", "test_callers_aborted_panic2"]


@pytest.mark.go("runtime", "TestCallersDivZeroPanic")
async def test_callers_div_zero_panic():
    text = ""

    def divide(a, b):
        return a // b

    try:
        divide(5, 0)
    except ZeroDivisionError:
        text = gopark.runtime.stack()
    name = "test_callers_div_zero_panic"
    assert functions(text) == [name, "panic", "divide", name]


class Point:
    """A method that fails at once."""

    def __init__(self):
        self.x = None

    def negate(self):
        self.x = self.x * -1


@pytest.mark.go("runtime", "TestPanicInlined")
async def test_panic_inlined():
    text = ""
    try:
        Point().negate()
    except TypeError:
        text = gopark.runtime.stack()
    assert f"{HERE}.Point.negate(...)\n" in text


async def test_an_exception_that_was_handled_outside_the_goroutine_does_not_show():
    """`go` and `run` may be called in an `except` block; its exception is not of the new stack."""
    texts = Chan(1)

    async def worker():
        await texts.send(gopark.runtime.stack())

    try:
        f1(True)
    except ValueError:
        gopark.go(worker)
        assert functions(await texts.recv()) == ["worker"]


async def test_a_long_chain_of_exceptions_is_shown_to_its_end():
    """A thousand attempts, each raised from the one before; no recursion over them."""

    def attempts(n):
        error = ValueError("first")  # the only one that was never raised
        for i in range(n):
            try:
                raise ValueError(i) from error
            except ValueError as caught:
                error = caught
        raise error

    text = ""
    try:
        attempts(3000)
    except ValueError:
        text = gopark.runtime.stack()
    names = functions(text)
    assert len(names) == 101
    assert names[1:50:2] == ["panic"] * 25
    assert names[-1] == test_a_long_chain_of_exceptions_is_shown_to_its_end.__name__


async def test_a_goexit_shows_in_its_finally_blocks_and_is_no_panic():
    """Go: runtime.Goexit stands below the deferred function."""
    texts, done = [], Chan()

    def look():
        texts.append(gopark.runtime.stack())

    async def leaves():
        try:
            gopark.goexit()
        finally:
            try:
                f1(True)
            except ValueError:
                look()
            look()
            done.close()

    gopark.go(leaves)
    await done.recv()
    during, after = map(functions, texts)
    assert during == ["look", "leaves", "panic", "f3", "f2", "f1", "leaves", "goexit", "leaves"]
    assert after == ["look", "leaves", "goexit", "leaves"]


async def test_what_closes_a_generator_is_no_panic():
    texts = []

    async def numbers():
        try:
            yield 1
        finally:
            texts.append(gopark.runtime.stack())

    generator = numbers()
    await anext(generator)
    await generator.aclose()
    assert functions(texts[0]) == ["numbers", test_what_closes_a_generator_is_no_panic.__name__]
