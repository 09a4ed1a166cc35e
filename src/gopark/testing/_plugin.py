"""The hooks of the pytest plugin, and what runs one test.

A test that is ours (a marker, or `gopark_mode = auto`) is the main goroutine of a program of its
own. Around it, step by step:
  1. a watch is set, if there is a time limit: a thread that looks on
  2. the test runs, in a scope of its own, so that what it starts is known for its (_leak.py)
  3. unless it failed, what it has left behind is looked for, still inside its program
  4. the program ends, and with it all goroutines that are left
When the time is up the watch takes the dump and ends the program as if main had raised; the
goroutines of other tests are those of other programs. Should the thread that called `run` be in
C and not come back, the watch prints the dump itself after a while.

Locks: `_Watch._lock`, between the end of a test and that of its time; nothing is called under it
that waits.
Source: none in Go (testing.go: -timeout; goleak.VerifyNone). Tests: tests/testing/test_plugin.py
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Final, NamedTuple, NoReturn

import pytest

from gopark._runtime.base.errors import FatalError
from gopark._runtime.main.rt0 import run
from gopark._runtime.report.traceback import stack, transparent
from gopark._runtime.sched.deadlock import bystanders, strict_deadlock
from gopark._runtime.sched.gomaxprocs import gomaxprocs
from gopark._runtime.sched.lockedm import block
from gopark._runtime.sched.panic import doors, endwith
from gopark._runtime.sched.startm import current
from gopark.testing import _leak
from gopark.testing._fixtures import Fixtures, isasyncfixture, pending, refused

_MODES: Final = ("strict", "auto")
_OTHERS: Final = ("anyio", "asyncio", "tornado", "trio", "twisted")  # markers of other plugins
_TAKEN: Final = (
    ", and something has made a plain function of this one; if it is pytest-asyncio in its auto "
    "mode, say asyncio_mode = strict"
)
# What a test says by an exception: in any of its goroutines it is no panic, but the test's outcome.
_OUTCOMES: Final = (pytest.skip.Exception, pytest.fail.Exception, pytest.exit.Exception)
_LATE: Final = 5.0  # seconds that a program has to end in after its time was up
_PROCS: Final = "gopark_procs"


class _Settings(NamedTuple):
    """How one test is run: its marker's arguments, else the ini options."""

    timeout: float  # seconds; 0: none
    leaks: bool
    strict_deadlock: bool
    procs: int  # 0: as it is


# --- hooks -----------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "gopark_mode",
        "strict: async tests with the marker gopark run as main goroutines; auto: all that no "
        "other plugin's marker claims",
        default="strict",
    )
    parser.addini("gopark_timeout", "seconds that such a test may take; 0: no limit", default="0")
    parser.addini(
        "gopark_leaks", "fail such a test if it leaves goroutines behind", "bool", default=True
    )
    parser.addini(
        "gopark_strict_deadlock",
        "such tests wait for no thread that gopark did not start: see debug.strict_deadlock",
        "bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "gopark(timeout, leaks, strict_deadlock, procs): run a test as a main goroutine; "
        "see gopark.testing.plugin",
    )
    mode = config.getini("gopark_mode")
    if mode not in _MODES:
        raise pytest.UsageError(f"gopark_mode is {' or '.join(_MODES)}, not {mode!r}")
    _seconds("gopark_timeout", config.getini("gopark_timeout"))
    doors.outcomes = _OUTCOMES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    mark = metafunc.definition.get_closest_marker("gopark")
    procs = mark.kwargs.get("procs") if mark is not None else None
    if procs is not None:
        if _PROCS not in metafunc.fixturenames:
            metafunc.fixturenames.insert(0, _PROCS)
        metafunc.parametrize(_PROCS, procs, indirect=True, ids=lambda n: f"procs{n}")


@pytest.fixture(name=_PROCS)
def _procs(request: pytest.FixtureRequest) -> int:
    """The number of Ps that the test runs with, one of those that its marker lists."""
    return getattr(request, "param", 0) or gomaxprocs(0)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    __tracebackhide__ = True
    settings = _settings(pyfuncitem)
    if settings is None:
        return None
    fn = pyfuncitem.obj
    inner = getattr(getattr(fn, "hypothesis", None), "inner_test", None)
    if inner is not None:  # each example is a program; hypothesis calls the test
        fn.hypothesis.inner_test = _example(pyfuncitem, settings, inspect.unwrap(inner))
        return None
    names = pyfuncitem._fixtureinfo.argnames
    kwargs = {name: pyfuncitem.funcargs[name] for name in names}
    _runtest(pyfuncitem, settings, functools.partial(fn, **kwargs), inspect.unwrap(fn))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    item = getattr(request, "_pyfuncitem", None)
    if not isinstance(item, pytest.Function) or _settings(item) is None:
        return (yield)
    if not isasyncfixture(fixturedef.func):
        refused(fixturedef, request)
        return (yield)
    changed: Any = fixturedef
    before = fixturedef.func
    changed.func = pending(fixturedef, request)
    try:
        return (yield)
    finally:
        changed.func = before


# --- which tests ---------------------------------------------------------------------------------


def _settings(item: pytest.Function) -> _Settings | None:
    """How to run it; None if it is none of ours."""
    mark = item.get_closest_marker("gopark")
    if mark is None and (
        item.config.getini("gopark_mode") != "auto"
        or any(item.get_closest_marker(other) for other in _OTHERS)
    ):
        return None
    if not _isasync(item.obj):
        if mark is None or mark not in item.own_markers:
            return None  # a plain test among others: a class or a module has the marker
        if inspect.iscoroutinefunction(inspect.unwrap(item.obj)):
            _wrong(f"the marker gopark is on an `async def`{_TAKEN}")
    given = dict(mark.kwargs) if mark is not None else {}
    unknown = given.keys() - {*_Settings._fields}
    if unknown or (mark is not None and mark.args):
        other = ", ".join(sorted(unknown)) or "an argument without a name"
        _wrong(f"the marker gopark takes timeout, leaks, strict_deadlock and procs, not {other}")
    ini = item.config.getini
    return _Settings(
        _seconds("timeout", given.get("timeout", ini("gopark_timeout"))),
        bool(given.get("leaks", ini("gopark_leaks"))),
        bool(given.get("strict_deadlock", ini("gopark_strict_deadlock"))),
        getattr(getattr(item, "callspec", None), "params", {}).get(_PROCS, 0),
    )


def _isasync(fn: Any) -> bool:
    inner = getattr(getattr(fn, "hypothesis", None), "inner_test", fn)
    return inspect.iscoroutinefunction(fn if inner is fn else inspect.unwrap(inner))


def _seconds(name: str, value: Any) -> float:
    try:
        seconds = float(value or 0)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        _wrong(f"{name} is a number of seconds, 0 for no limit, not {value!r}")
    return seconds


def _wrong(text: str) -> NoReturn:
    """Of a test: it fails. Of the options: the run does not begin."""
    if text.startswith("gopark_"):
        raise pytest.UsageError(text)
    pytest.fail(text, pytrace=False)


# --- one test ------------------------------------------------------------------------------------


def _example(
    item: pytest.Function, settings: _Settings, fn: Callable[..., Any]
) -> Callable[..., None]:
    """In the place of the function that hypothesis calls for each example."""

    @functools.wraps(fn)
    def example(*args: Any, **kwargs: Any) -> None:
        _runtest(item, settings, functools.partial(fn, *args, **kwargs), fn)

    return example


class _TimeUpError(BaseException):
    """Main's end when its time is up. Not to be caught by a test."""


def _runtest(
    item: pytest.Function,
    settings: _Settings,
    test: functools.partial[Any],
    fn: Callable[..., Any],
) -> None:
    __tracebackhide__ = True
    if settings.strict_deadlock:
        strict_deadlock()
    watch = _Watch(item, settings.timeout)
    left: list[str] = []
    before = gomaxprocs(settings.procs)
    watch.begin()
    try:
        run(_main if _isasync(test.func) else _plainmain, settings.leaks, item, test, left)
    except BaseException as exc:
        if not watch.report:
            outcome = exc.__cause__
            if isinstance(exc, FatalError) and isinstance(outcome, _OUTCOMES):
                raise outcome from None  # of a callback from C
            exc.__traceback__ = _fromtest(exc.__traceback__, fn, exc)
            raise
    finally:
        watch.end()
        gomaxprocs(before)
        if settings.strict_deadlock:
            strict_deadlock(False)
    if watch.report or left:
        pytest.fail(watch.report or left[0], pytrace=False)


async def _main(
    leaks: bool, item: pytest.Function, test: functools.partial[Any], left: list[str]
) -> None:
    """The main goroutine of a test."""
    __tracebackhide__ = True
    mark = _leak.scope()
    fixtures = Fixtures()
    try:
        await fixtures.values(item.funcargs)
        await test.func(*test.args, **await fixtures.values(test.keywords))
    finally:
        await fixtures.close()
    if leaks:
        await _find(mark, left)


def _plainmain(
    leaks: bool, item: pytest.Function, test: functools.partial[Any], left: list[str]
) -> None:
    """The same for a plain function, which waits with `block`."""
    __tracebackhide__ = True
    mark = _leak.scope()
    fixtures = Fixtures()
    try:
        block(fixtures.values(item.funcargs))
        test.func(*test.args, **block(fixtures.values(test.keywords)))
    finally:
        block(fixtures.close())
    if leaks:
        block(_find(mark, left))


async def _find(mark: object, left: list[str]) -> None:
    err = await _leak.find(_leak.scoped(mark))
    if err is not None:
        left.append("the test left goroutines behind:\n\n" + "\n".join(err.stacks))


# The end of a program may interrupt what these call.
transparent.update((_main.__code__, _plainmain.__code__))


def _fromtest(
    tb: TracebackType | None, fn: Callable[..., Any], exc: BaseException
) -> TracebackType | None:
    """The part of a traceback that begins in the test; all of it if that is in no part.

    Of a fatal error nothing is left then: it has come out of `run`, and the report on stderr, and a
    panic's own exception as the cause, say where it struck.
    """
    code = getattr(fn, "__code__", None)
    at = tb
    while at is not None:
        if at.tb_frame.f_code is code:
            return at
        at = at.tb_next
    return None if isinstance(exc, FatalError) else tb


class _Watch:
    """The time limit of one test, and the thread that looks after it."""

    def __init__(self, item: pytest.Function, seconds: float) -> None:
        self.item = item
        self.seconds = seconds
        self.report = ""  # what to say of the test if its time was up
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._ident = 0

    def begin(self) -> None:
        if self.seconds:
            self._thread = threading.Thread(target=self._look, name="gopark-watch", daemon=True)
            self._thread.start()
            self._ident = self._thread.ident or 0
            bystanders.add(self._ident, self._thread.native_id)

    def end(self) -> None:
        with self._lock:
            self._ended.set()
        if self._thread is not None:
            self._thread.join()
            bystanders.discard(self._ident)

    def _look(self) -> None:
        if self._ended.wait(min(self.seconds, threading.TIMEOUT_MAX)):
            return
        sched = current()
        dump = stack(all=True)
        with self._lock:
            if sched is None or self._ended.is_set():
                return
            self.report = (
                f"the test did not end within {self.seconds:g} seconds; all goroutines:\n\n{dump}"
            )
        endwith(sched, _TimeUpError())
        if not self._ended.wait(_LATE):
            self._print()

    def _print(self) -> None:
        """The thread that called `run` is stuck: nobody else will."""
        capture = self.item.config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.suspend_global_capture(in_=True)
        sys.stderr.write(f"\n{self.item.nodeid}: {self.report}\n")
        sys.stderr.flush()
