"""What can be panicked with, and maps, which are safe in Python.

Go: runtime/crash_test.go, panic_test.go, panicnil_test.go.
"""

from __future__ import annotations

import operator

import pytest

import gopark
from gopark import Chan, gosched
from gopark._runtime.report.printpanics import panictext
from harness import run as run_program


def raised(fn) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the caller looks at it
        fn()
    return caught.value


# --- values ------------------------------------------------------------------------------


class MyBool(Exception): ...


class MyComplex(Exception): ...


class MyFloat(Exception): ...


class MyInt(Exception): ...


class MyString(Exception): ...


VALUES = [
    *((MyBool, v, str(v)) for v in (True, False)),
    *((MyComplex, v, text) for v, text in ((32.1 + 10j, "(32.1+10j)"), (0.11 + 3j, "(0.11+3j)"))),
    *((MyFloat, v, str(v)) for v in (-93.7, 1e300)),
    *((MyInt, v, str(v)) for v in (93, -93, 2**64 - 1)),
    (MyString, "Panic\nline two", "Panic\n\tline two"),
]


def custom(kind: type[Exception], v: object, text: str) -> None:
    def fails():
        raise kind(v)

    assert panictext(raised(fails))[0] == f"panic: {__name__}.{kind.__name__}: {text}"


@pytest.mark.go("runtime", "TestPanicWithDirectlyPrintableCustomTypes")
@pytest.mark.parametrize(("kind", "v", "text"), VALUES)
def test_panic_with_directly_printable_custom_types(kind, v, text):
    """An exception of one's own prints as its name and its value."""
    custom(kind, v, text)


@pytest.mark.go("runtime/testdata/testprog", "panicCustom* (17 programs)")
@pytest.mark.parametrize("kind", [MyBool, MyComplex, MyFloat, MyInt, MyString])
def test_panic_custom(kind, run, capsys):
    """The same, as the end of a program."""
    _, v, text = next(row for row in VALUES if row[0] is kind)

    async def fails():
        raise kind(v)

    async def main():
        gopark.go(fails)
        await Chan().recv()

    with pytest.raises(gopark.FatalError):
        run(main)
    first, _, _ = capsys.readouterr().err.partition("\n\n")
    assert first == f"panic: {__name__}.{kind.__name__}: {text}"


@pytest.mark.go("runtime", "TestRuntimePanicWithRuntimeError")
@pytest.mark.parametrize(
    ("kind", "fails"),
    [
        (TypeError, lambda: operator.setitem(None, 1234, True)),
        (gopark.ClosedChannelError, lambda: closed().close()),
        (gopark.ClosedChannelError, lambda: gopark.block(closed().send(None))),
        (IndexError, lambda: [0, 0][2]),
        (ValueError, lambda: Chan(-1)),
        (AttributeError, lambda: None.close()),
    ],
    ids=["map", "close of closed", "send on closed", "index", "negative size", "close of nil"],
)
def test_runtime_panic_with_runtime_error(kind, fails):
    """What goes wrong by itself is an Exception of its own kind, and can be caught as such."""
    assert type(raised(fails)) is kind


def closed() -> Chan:
    ch = Chan()
    ch.close()
    return ch


def panics_with_nothing(nothing: object = None) -> None:
    raise nothing  # type: ignore[misc]


@pytest.mark.go("runtime", "TestPanicNilErrorPrefix")
def test_panic_nil_error_prefix():
    """Nothing is no exception, however it is said."""
    for fails in (panics_with_nothing, lambda: panics_with_nothing(()), lambda: raise_class(None)):
        error = raised(fails)
        assert type(error) is TypeError
        assert str(error) == "exceptions must derive from BaseException"


def raise_class(cls: object) -> None:
    raise cls from None  # type: ignore[misc]


@pytest.mark.go("runtime", "TestPanicNil")
@pytest.mark.parametrize("setting", [None, "panicnil=0", "panicnil=1"])
def test_panic_nil(setting, monkeypatch):
    """It is seen by `except` as an error, and no setting makes it vanish."""
    if setting is not None:
        monkeypatch.setenv("GODEBUG", setting)
    seen = []
    try:
        panics_with_nothing()
    except BaseException as error:
        seen.append(type(error))
    assert seen == [TypeError]


# --- maps --------------------------------------------------------------------------------


async def writers(count: int) -> dict[int, int]:
    """Two goroutines on threads of their own write one dict, and give way between writes."""
    numbers: dict[int, int] = {}
    done = Chan()

    def writes(of: int) -> None:
        for n in range(count):
            numbers[2 * n + of] = n
            numbers[-1 - of] = n
            gopark.block(gosched())
        gopark.block(done.send(None))

    for of in range(2):
        gopark.go(writes, of)
    for _ in range(2):
        await done.recv()
    return numbers


@pytest.mark.usefixtures("procs")
@pytest.mark.go("runtime", "TestConcurrentMapWrites")
@pytest.mark.go("runtime/testdata/testprog", "concurrentMapWrites")
async def test_concurrent_map_writes():
    """A dict may be written by all at once, and keeps every write."""
    numbers = await writers(500)
    assert numbers == {n: n // 2 for n in range(1000)} | {-1: 499, -2: 499}


@pytest.mark.usefixtures("procs")
@pytest.mark.go("runtime", "TestConcurrentMapWritesIssue69447")
async def test_concurrent_map_writes_issue69447():
    """Again and again: it never ends otherwise."""
    for _ in range(20):
        assert len(await writers(20)) == 42


@pytest.mark.usefixtures("procs")
@pytest.mark.go("runtime", "TestConcurrentMapReadWrite")
@pytest.mark.go("runtime/testdata/testprog", "concurrentMapReadWrite")
async def test_concurrent_map_read_write():
    """A reader sees a value that was written, and none older than it has seen."""
    numbers = {0: 0}
    done = Chan(2)

    def writes() -> None:
        for n in range(1, 500):
            numbers[n] = n
            numbers[0] = n
            gopark.block(gosched())
        done.try_send("writer")

    def reads() -> None:
        seen = 0
        while seen < 499:
            before, seen = seen, numbers[0]
            assert before <= seen == numbers[seen]
            gopark.block(gosched())
        done.try_send("reader")

    gopark.go(writes)
    gopark.go(reads)
    assert {await done.recv(), await done.recv()} == {"writer", "reader"}


@pytest.mark.go("runtime", "TestConcurrentMapIterateWrite")
@pytest.mark.go("runtime/testdata/testprog", "concurrentMapIterateWrite")
def test_concurrent_map_iterate_write():
    """A dict that grows while somebody loops over it is Python's own error, in the loop."""
    ended = run_program("testprog", "concurrentMapIterateWrite")
    assert ended.status == 2
    assert ended.stderr.startswith(
        "panic: RuntimeError: dictionary changed size during iteration\n\ngoroutine "
    )
    assert "concurrent_map_iterate_write.iterates(...)\n" in ended.stderr
