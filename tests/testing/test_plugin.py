"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

AUTO = ("-o", "gopark_mode=auto")


@pytest.fixture
def pytest_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run these tests with the plugin, which an environment with gopark installed has anyway."""

    def run(tests: str, *args: str, alone: bool = False) -> pytest.RunResult:
        pytester.makepyfile("import pytest\nimport gopark\n\n" + tests)
        # What else this environment has must not matter, nor whether it knows the plugin already.
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        options = ("-p", "no:cacheprovider", "-p", "gopark.testing.plugin")
        if alone:
            return pytester.runpytest_subprocess(*options, *args)
        return pytester.runpytest_inprocess(*options, *args)

    return run


HELLO = """
async def hello():
    ch = gopark.Chan()
    gopark.go(ch.send, "hello")
    return await ch.recv()
"""


def test_nothing_is_done_unless_asked_for(pytest_run: Run) -> None:
    """As without the plugin, down to what pytest says of it."""
    tests = "async def test_one():\n    pass\n"
    result = pytest_run(tests)
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*async def functions are not natively supported*"])


def test_a_marked_test_is_the_main_goroutine_in_auto_mode_each(pytest_run: Run) -> None:
    tests = f"""
{HELLO}
@pytest.mark.gopark
async def test_hello():
    assert await hello() == "hello"
    assert gopark.runtime.stack().startswith("goroutine 1 ")

def test_plain():
    assert gopark.runtime.num_goroutine() == 0

class TestMethods:
    @pytest.mark.gopark
    async def test_method(self):
        assert await hello() == "hello"

@pytest.fixture
def three():
    yield 3

@pytest.mark.gopark
@pytest.mark.parametrize("n", [1, 2])
async def test_sum(three, n):
    await gopark.gosched()
    assert three + n in (4, 5)

@pytest.mark.gopark
async def test_skipped():
    pytest.skip("not today")

@pytest.mark.gopark
@pytest.mark.xfail
async def test_wrong():
    assert False
"""
    pytest_run(tests).assert_outcomes(passed=5, skipped=1, xfailed=1)
    tests = tests.replace("@pytest.mark.gopark", "")
    pytest_run(tests, *AUTO).assert_outcomes(passed=5, skipped=1, xfailed=1)


def test_what_another_plugin_claims_is_left_to_it(pytest_run: Run) -> None:
    markers = ("asyncio", "anyio", "trio")
    tests = [f"@pytest.mark.{m}\nasync def test_{m}():\n    pass\n" for m in markers]
    ini = "\n".join(("markers=", *(f" {m}: of another plugin" for m in markers)))
    result = pytest_run("\n".join(tests), *AUTO, "-o", ini)
    result.stdout.fnmatch_lines(["*async def functions are not natively supported*"])
    result.assert_outcomes(failed=3)


def test_a_failure_shows_the_test_and_not_the_runtime(pytest_run: Run) -> None:
    result = pytest_run("async def test_wrong():\n    assert 1 == 2\n", *AUTO)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">       assert 1 == 2", "E       assert 1 == 2"])
    result.stdout.no_fnmatch_line("*/gopark/*")


def test_a_panic_of_another_goroutine_fails_the_test(pytest_run: Run) -> None:
    result = pytest_run(
        """
async def test_panics():
    async def bad():
        raise ValueError("bad")
    gopark.go(bad)
    await gopark.Chan().recv()

async def test_next():
    pass
""",
        *AUTO,
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ['>       raise ValueError("bad")', "*FatalError: panic: ValueError: bad*"]
    )
    result.stdout.no_fnmatch_line("*/gopark/*")


# --- leaks -----------------------------------------------------------------------------------


def test_a_test_that_leaks_fails_with_the_stacks(pytest_run: Run) -> None:
    result = pytest_run(
        """
async def worker(jobs):
    await jobs.recv()

async def test_leaks():
    gopark.go(worker, gopark.Chan())

async def test_next():
    assert gopark.runtime.num_goroutine() == 1
""",
        *AUTO,
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "the test left goroutines behind:",
            "goroutine * [[]chan receive (leaked)[]]:",
            "*.worker(...)",
            "created by *.test_leaks in goroutine 1",
        ]
    )


def test_who_has_failed_is_not_asked_for_leaks_nor_who_says_so(pytest_run: Run) -> None:
    result = pytest_run(
        """
async def test_wrong():
    gopark.go(gopark.Chan().recv)
    assert False

@pytest.mark.gopark(leaks=False)
async def test_allowed():
    gopark.go(gopark.Chan().recv)
""",
        *AUTO,
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.no_fnmatch_line("*left goroutines behind*")


def test_leaks_may_be_allowed_for_all(pytest_run: Run) -> None:
    tests = "async def test_leaks():\n    gopark.go(gopark.Chan().recv)\n"
    pytest_run(tests, *AUTO, "-o", "gopark_leaks=false").assert_outcomes(passed=1)


def test_the_goroutines_of_others_are_no_leak_of_the_test(pytest_run: Run) -> None:
    result = pytest_run(
        """
import threading

@pytest.fixture
def other():
    begin = threading.Event()
    ch = gopark.Chan()
    thread = threading.Thread(target=lambda: begin.wait() and gopark.go(ch.recv))
    thread.start()
    yield begin, thread

async def test_beside_another_thread(other):
    begin, thread = other
    begin.set()
    gopark.cgo.call(thread.join)
    async with gopark.sync.WaitGroup() as wg:
        wg.go(gopark.gosched)
""",
        *AUTO,
    )
    result.assert_outcomes(passed=1)


# --- plain tests, async fixtures, outcomes -----------------------------------------------------


def test_a_plain_test_with_the_marker_is_the_main_goroutine(pytest_run: Run) -> None:
    result = pytest_run(
        """
@pytest.mark.gopark(timeout=20)
@pytest.mark.parametrize("n", [1, 2])
def test_plain(n):
    assert gopark.runtime.goid() == 1
    ch = gopark.Chan()
    gopark.go(ch.send, n)
    assert gopark.block(ch.recv()) == n

@pytest.mark.gopark
def test_leaves():
    gopark.go(gopark.Chan().recv)

@pytest.mark.gopark(strict_deadlock=True)
def test_hangs():
    gopark.block(gopark.Chan().recv())

@pytest.mark.gopark
class TestPlain:
    def test_is_left_alone_if_only_its_class_is_marked(self):
        assert gopark.runtime.goid() == 0
"""
    )
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(["the test left goroutines behind:", "*DeadlockError*"])


FIXTURES = """
log = []

@pytest.fixture
def plain():
    assert gopark.runtime.goid() == 0
    yield 1

@pytest.fixture
async def number(plain):
    await gopark.gosched()
    return plain + 1

@pytest.fixture
async def server(number):  # its goroutine has to be one of the test's program
    requests = gopark.Chan()
    ended = gopark.Chan()
    async def serve():
        async for reply in requests:
            await reply.send(number)
        ended.close()
    gopark.go(serve)
    log.append("up")
    yield requests
    requests.close()
    await ended.recv()
    log.append("down")

async def ask(server):
    reply = gopark.Chan()
    await server.send(reply)
    return await reply.recv()
"""


@pytest.mark.parametrize("asynchronous", [True, False])
def test_async_fixtures_are_of_the_program_of_the_test(pytest_run: Run, asynchronous: bool) -> None:
    kind, wait = ("async def", "await ") if asynchronous else ("def", "gopark.block")
    result = pytest_run(
        f"""
{FIXTURES}
@pytest.mark.gopark
{kind} test_asks(server, number):
    assert number == 2
    assert log == ["up"]
    assert {wait}(ask(server)) == 2

def test_it_was_taken_down():
    assert log == ["up", "down"]
    log.clear()

@pytest.mark.gopark
{kind} test_fails(server):
    assert False, "on purpose"

def test_it_was_taken_down_after_a_failure_too():
    assert log == ["up", "down"]
    log.clear()

@pytest.mark.gopark
@pytest.mark.usefixtures("server")
{kind} test_by_name():
    assert log == ["up"]

class TestMethods:
    @pytest.fixture(autouse=True)
    async def own(self):
        self.value = 5
        yield
        self.value = None

    @pytest.mark.gopark
    {kind} test_method(self, number):
        assert self.value + number == 7
"""
    )
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*on purpose*"])


def test_async_fixtures_in_auto_mode_and_with_examples(pytest_run: Run) -> None:
    pytest.importorskip("hypothesis")
    result = pytest_run(
        f"""
from hypothesis import HealthCheck, given, settings, strategies
{FIXTURES}
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=strategies.integers())
async def test_each(server, n):
    assert await ask(server) == 2

def test_each_example_had_its_own():
    assert log == ["up", "down"] * (len(log) // 2)
    assert len(log) >= 10
""",
        *AUTO,
    )
    result.assert_outcomes(passed=2)


def test_async_fixtures_that_cannot_work_say_why(pytest_run: Run) -> None:
    result = pytest_run(
        """
@pytest.fixture(scope="module")
async def wide(): ...

@pytest.fixture
async def inner(): ...

@pytest.fixture
def outer(inner): ...

@pytest.fixture
async def twice():
    yield 1
    yield 2

@pytest.fixture
async def broken():
    yield
    raise ValueError("on the way down")

async def test_wide(wide): ...
async def test_outer(outer): ...
async def test_twice(twice): ...
async def test_broken(broken): ...
""",
        *AUTO,
    )
    result.assert_outcomes(errors=2, failed=2)
    result.stdout.fnmatch_lines(
        [
            "the async fixture 'wide' has scope 'module'; each test of gopark is a program *",
            "the fixture 'outer' is a plain function, and 'inner', which it uses, an async one *",
            "*RuntimeError: the async fixture 'twice' has yielded twice",
            "*ValueError: on the way down",
        ]
    )


def test_each_async_fixture_is_taken_down_and_every_error_is_shown(pytest_run: Run) -> None:
    result = pytest_run(
        """
down = []

@pytest.fixture
async def first():
    yield
    down.append("first")
    raise ValueError("of the first")

@pytest.fixture
async def second(first):
    yield
    raise KeyError("of the second")

@pytest.fixture
async def judge(first):
    yield
    pytest.fail("of the judge")

async def test_two(second): ...
async def test_outcome(judge): ...
def test_down(): assert down == ["first", "first"]
""",
        *AUTO,
    )
    result.assert_outcomes(passed=1, failed=2)
    text = result.stdout.str()
    for line in ("ValueError: of the first", "KeyError: 'of the second'", "Failed: of the judge"):
        assert line in text


def test_a_limit_may_be_longer_than_a_thread_can_wait(pytest_run: Run) -> None:
    result = pytest_run(
        """
@pytest.mark.gopark(timeout=1e300)
async def test_long(): ...
""",
        "-W",
        "error",
        *AUTO,
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("start", ["gopark.go(worker)", "gopark.go(plain)", "called(plain)"])
def test_a_goroutine_says_how_its_test_ends(pytest_run: Run, start: str) -> None:
    """pytest.skip in any goroutine of the test skips it, and no panic is reported."""
    result = pytest_run(
        f"""
def called(fn):
    gopark.go(lambda: gopark.cgo.callback(fn)())

@pytest.mark.parametrize("how", ["skip", "fail", "xfail"])
async def test_one(how):
    async def worker():
        await gopark.gosched()
        plain()
    def plain():
        getattr(pytest, how)("said by a goroutine")
    {start}
    await gopark.Chan().recv()

async def test_next():
    pass
""",
        *AUTO,
    )
    result.assert_outcomes(skipped=1, failed=1, xfailed=1, passed=1)
    result.stdout.fnmatch_lines(["*Failed: said by a goroutine*"])
    if "called" not in start:
        result.stdout.no_fnmatch_line("*panic:*")


# --- time limit --------------------------------------------------------------------------------

HANGS = {
    "a coroutine that waits": "await gopark.Chan().recv()",
    "main's thread in a sleep": "import time; time.sleep(600)",
    "main's thread in a loop": "while True: pass",
    "plain code that waits": "gopark.block(gopark.Chan().recv())",
    "an except that takes all": """
    while True:
        try:
            await gopark.time.sleep(600)
        except Exception:
            pass""",
}


def test_a_test_that_hangs_fails_with_a_dump_and_the_next_one_runs(pytest_run: Run) -> None:
    tests = "async def other(ch):\n    await ch.recv()\n"
    for n, how in enumerate(HANGS.values()):
        tests += f"""
async def test_hangs{n}():
    keep = gopark.Chan()
    gopark.go(other, keep)
    gopark.go(gopark.time.sleep, 600)
    {how}
"""
    tests += """
async def test_next():
    ch = gopark.Chan()
    gopark.go(ch.send, 1)
    assert await ch.recv() == 1
"""
    result = pytest_run(tests, *AUTO, "-o", "gopark_timeout=0.3")
    result.assert_outcomes(failed=len(HANGS), passed=1)
    for n in range(len(HANGS)):
        result.stdout.fnmatch_lines(
            [
                f"* test_hangs{n} *",
                "the test did not end within 0.3 seconds; all goroutines:",
                "goroutine 1 [[]*]:",
                "*.other(...)",
            ]
        )


def test_a_deadlock_is_found_though_the_watch_is_a_thread(pytest_run: Run) -> None:
    result = pytest_run(
        "@pytest.mark.gopark(timeout=30, strict_deadlock=False)\n"
        "async def test_hangs():\n    await gopark.Chan().recv()\n",
        alone=True,  # without the thread of this test's own time limit
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*DeadlockError: fatal error: all goroutines are asleep*"])
    result.stdout.no_fnmatch_line("*/_plugin.py*")
    result.stdout.no_fnmatch_line("*/rt0.py*")


# --- arguments -----------------------------------------------------------------------------------


def test_a_test_may_run_with_several_numbers_of_ps(pytest_run: Run) -> None:
    result = pytest_run(
        """
before = gopark.runtime.gomaxprocs(0)
seen = []

@pytest.mark.gopark(procs=[1, 3])
async def test_procs(gopark_procs):
    assert gopark.runtime.gomaxprocs(0) == gopark_procs
    seen.append(gopark_procs)

@pytest.mark.gopark(procs=[2])
async def test_without_the_fixture():
    seen.append(gopark.runtime.gomaxprocs(0))

def test_after():
    assert seen == [1, 3, 2]
    assert gopark.runtime.gomaxprocs(0) == before
""",
        "-v",
    )
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*test_procs[[]procs1[]]*", "*test_procs[[]procs3[]]*"])


def test_hypothesis_runs_each_example_as_a_program(pytest_run: Run) -> None:
    pytest.importorskip("hypothesis")
    result = pytest_run(
        """
from hypothesis import given, settings, strategies as st

@pytest.mark.gopark
@settings(max_examples=5, database=None)
@given(st.integers())
async def test_echo(n):
    ch = gopark.Chan()
    gopark.go(ch.send, n)
    assert await ch.recv() == n

@pytest.mark.gopark
@settings(max_examples=5, database=None)
@given(st.integers())
async def test_wrong(n):
    assert n == object()
"""
    )
    result.assert_outcomes(passed=1, failed=1)


def test_mistakes_in_a_marker_fail_the_test(pytest_run: Run) -> None:
    result = pytest_run(
        """
import functools

def plain(fn):
    @functools.wraps(fn)
    def wrapped(): ...
    return wrapped

@pytest.mark.gopark
@plain
async def test_taken(): pass

@pytest.mark.gopark(5)
async def test_unnamed(): pass

@pytest.mark.gopark(time=5)
async def test_unknown(): pass

@pytest.mark.gopark(timeout="x")
async def test_no_number(): pass
"""
    )
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "the marker gopark is on an `async def`, and something has made a plain *",
            "the marker gopark takes timeout, *, not an argument without a name",
            "the marker gopark takes timeout, *, not time",
            "timeout is a number of seconds, 0 for no limit, not 'x'",
        ]
    )


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("gopark_mode=always", "gopark_mode is strict or auto, not 'always'"),
        ("gopark_timeout=-1", "gopark_timeout is a number of seconds"),
    ],
)
def test_mistakes_in_an_option_end_the_run(pytest_run: Run, option: str, says: str) -> None:
    result = pytest_run("", "-o", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert says in result.stderr.str()
