"""What every test shares.

An `async def` test is the main goroutine of a program of its own. It runs under
`strict_deadlock`, so a wake-up that is lost ends the test with a report of who waits for
what, and not with a timeout. A test that waits for a thread of Python or of C, which the
detector must then not rule out, carries the marker `outside_help`.
"""

from __future__ import annotations

import ctypes
import gc
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gopark
import gorows
import harness
import skipped
from gopark._runtime.c import extram
from gopark._runtime.sched import startm

_START = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
_libc = ctypes.CDLL(None)
_libc.pthread_create.argtypes = (
    ctypes.POINTER(ctypes.c_ulong),
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
)
_libc.pthread_join.argtypes = (ctypes.c_ulong, ctypes.c_void_p)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--conformance", action="store_true", help="write docs/conformance.md if all rows are held"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "outside_help: the test waits for a thread that gopark did not start"
    )
    config.addinivalue_line("markers", "go(package, test): holds a row of what Go's tests pin down")
    _hear()
    if hasattr(config, "workerinput"):
        return
    if config.getoption("--conformance"):
        config.pluginmanager.register(_Conformance())
    if (skips := skipped.plugin()) is not None:
        config.pluginmanager.register(skips)


def _hear() -> None:
    """What a shell starts in the background ignores these two, and so would our children."""
    for name, action in ("SIGINT", signal.default_int_handler), ("SIGQUIT", signal.SIG_DFL):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, action)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What rows a test holds goes along with its report, from a worker too."""
    for item in items:
        item.user_properties += [("go", mark.args) for mark in item.iter_markers("go")]


class _Conformance:
    """Writes docs/conformance.md when every test that holds a row has passed."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, ...], set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            for name, key in report.user_properties:
                if name == "go":
                    self.outcomes.setdefault(tuple(key), set()).add(report.outcome)  # type: ignore[arg-type]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        not_held = sorted(k for k in gorows.held() if self.outcomes.get(k) != {"passed"})
        for key in not_held:
            terminalreporter.line(f"not held: {' '.join(key)}: {self.outcomes.get(key, 'not run')}")
        if not not_held:
            gorows.PAGE.write_text(gorows.page(), encoding="utf-8")
            terminalreporter.line(f"wrote {gorows.PAGE}")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test as the main goroutine."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    kwargs = {name: pyfuncitem.funcargs[name] for name in names}
    _strictly(pyfuncitem.get_closest_marker("outside_help") is not None, pyfuncitem.obj, (), kwargs)
    return True


def _strictly(
    outside_help: bool, main: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    gopark.debug.strict_deadlock(not outside_help)
    try:
        return gopark.run(main, *args, **kwargs)
    finally:
        gopark.debug.strict_deadlock(False)


@pytest.fixture
def run() -> Callable[..., Any]:
    """`run(main, *args)` under `strict_deadlock`; `outside_help=True` turns that off."""

    def run(main: Callable[..., Any], *args: Any, outside_help: bool = False, **kw: Any) -> Any:
        return _strictly(outside_help, main, args, kw)

    return run


@pytest.fixture(scope="session", autouse=True)
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Children find what the ones before them have compiled: that is most of the time they take.

    In a folder of the session, so that none lies beside the programs in `testdata`.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a folder in a common one
        base = base.parent
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(base / "bytecode"))


@pytest.fixture(scope="session")
def hypothesis_is_ready() -> None:
    """Hypothesis makes its source of random numbers, and sees that somebody refers to it.

    Who does so is not found any more once it is frozen.
    """
    if "hypothesis" in sys.modules:
        from hypothesis import given, settings, strategies

        settings(max_examples=1, database=None)(given(strategies.none())(lambda _: None))()


@pytest.fixture(scope="module", autouse=True)
def smallheap(hypothesis_is_ready: None) -> None:
    """What is there before a module's tests stays, so no collection of theirs goes through it.

    It is a million objects, most from pytest's own collecting, and a third of a second for each
    `gc.collect()` of a test and for each search for leaks.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(params=[1, 2, 8], ids=lambda n: f"procs{n}")
def procs(request: pytest.FixtureRequest) -> Iterator[int]:
    """The test runs with 1, with 2 and with 8 Ps."""
    before = gopark.runtime.gomaxprocs(request.param)
    yield request.param
    gopark.runtime.gomaxprocs(before)


def wait_until(holds: Callable[[], bool], seconds: float = 120.0) -> bool:
    """Look until it holds, for what tells nobody when it happens (a thread that is gone)."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., bool]:
    return wait_until


def _leftovers() -> list[str]:
    """What of gopark is there that should not be between two tests."""
    left = []
    if gopark.runtime.num_goroutine():
        left.append(
            f"{gopark.runtime.num_goroutine()} goroutines:\n{gopark.runtime.stack(all=True)}"
        )
    sched = startm.current()
    idle = set() if sched is None else {m.ident for m in sched.allm if m.idle}
    left += [
        f"thread {t.name}"
        for t in threading.enumerate()
        if t.name.startswith("gopark-M") and t.ident not in idle
    ]
    return left


_left: list[bool] = []


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """After each test no goroutine is left, and no thread of ours but idle ones."""
    yield
    # What one test has left behind is there after the next as well.
    if not wait_until(lambda: not _leftovers(), 1.0 if _left else 120.0):
        gc.collect()
        _left.append(True)
        pytest.fail("left behind: " + "; ".join(_leftovers()))


class CThread:
    """A thread that C made and Python knows nothing of; it calls `entry(arg)` once.

    `entry` is what `gopark.cgo.callback` returned. `more` in the callback registers a
    function that the same thread calls when it is about to exit, each by a call of its own
    from C: so one C thread can call in any number of times with no compiler at hand.
    """

    def __init__(self, entry: Callable[[int | None], Any], arg: int = 0) -> None:
        self._keep = entry if isinstance(entry, _START) else _START(entry)
        self._id = ctypes.c_ulong()
        self._joined = False
        status = _libc.pthread_create(ctypes.byref(self._id), None, self._keep, arg)
        if status:
            raise OSError(status, "pthread_create")

    def join(self) -> None:
        """Wait for its end. In a goroutine, as a C call that holds nobody up."""
        if not self._joined:
            self._joined = True
            gopark.cgo.call(_libc.pthread_join, self._id, None)

    start_type = _START


def _on_thread_exit(function: Any, times: int = 1) -> None:
    """Have the calling C thread call `function(0)` from C that many times when it exits."""
    if extram._cxa_thread_atexit is None:
        pytest.skip("this libc has no per-thread exit hook")
    for _ in range(times):
        extram._cxa_thread_atexit(function, 0, extram._dso)


@pytest.fixture
def cthread() -> type[CThread]:
    return CThread


@pytest.fixture
def on_thread_exit() -> Callable[..., None]:
    return _on_thread_exit


@pytest.fixture
def libc() -> ctypes.CDLL:
    """libc with a way to be called back on the same thread: `qsort`."""
    return _libc


COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))


@pytest.fixture
def qsort(libc: ctypes.CDLL) -> Callable[[list[int], Callable[[int, int], int]], list[int]]:
    """Sort by C, which asks a Python function to compare: Python, C, Python on one thread."""

    def qsort(values: list[int], compare: Callable[[int, int], int]) -> list[int]:
        array = (ctypes.c_int * len(values))(*values)
        entry = COMPARE(gopark.cgo.callback(lambda a, b: compare(a[0], b[0])))
        gopark.cgo.call(libc.qsort, array, len(values), ctypes.sizeof(ctypes.c_int), entry)
        return list(array)

    return qsort


@pytest.fixture
def child(tmp_path: Any) -> Callable[..., Any]:
    """Run a program in a Python of its own; returns what `subprocess.run` returns."""
    import subprocess

    def child(program: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "prog.py"
        file.write_text(program)
        path = os.path.dirname(os.path.dirname(gopark.__file__))
        return subprocess.run(
            [sys.executable, str(file), *args],
            capture_output=True,
            text=True,
            timeout=harness.TIMEOUT,
            env={**os.environ, "PYTHONPATH": path, **env},
            check=False,
        )

    return child
