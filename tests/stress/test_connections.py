"""Ten thousand connections, opened and dropped at random under faults: see connections.py."""

from __future__ import annotations

import os
import pathlib
import sys

import pytest

from harness import TIMEOUT, run_python

FILE = pathlib.Path(__file__).with_name("programs.py")
SEED = os.environ.get("GOPARK_STRESS_SEED")


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
@pytest.mark.parametrize(("poller", "count"), [("epoll", 10_000), ("poll", 2000)])
def test_so_many_connections_leave_nothing_and_lose_nothing(poller, count):
    env = {"GOPARKDEBUG": f"netpoll={poller}", "GOPARK_STRESS_CONNECTIONS": str(count)}
    seed = SEED or str(int.from_bytes(os.urandom(4), "big"))
    arguments = [str(FILE), "connections", "--seed", seed, "--patience", "60"]
    ended = run_python(arguments, env=env, timeout=5 * TIMEOUT)
    again = f"{' '.join(f'{k}={v}' for k, v in env.items())} GOPARK_STRESS_SEED={seed}"
    assert ended.status == 0, f"{again}\n{ended.stderr}"
    assert ended.stdout.endswith("OK 1\n")


@pytest.fixture
def case():
    programs = sys.modules.get("stress_connections")
    if programs is None:
        import importlib.util

        spec = importlib.util.spec_from_file_location("stress_programs", FILE)
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        programs = sys.modules["stress_connections"]
    made = programs.Case(0, programs.Random(1))
    made.fault, made.sizes, made.served = "none", (3, 0), 1
    made.up.sent = made.up.tried = made.up.got = 3
    made.up.ended = made.down.ended = True
    made.check(False)
    return made


@pytest.mark.parametrize(
    ("what", "value"), [("got", 2), ("got", 4), ("sent", 2), ("ended", False)], ids=str
)
def test_a_stream_that_is_not_whole_is_noticed(case, what, value):
    setattr(case.up, what, value)
    with pytest.raises(AssertionError):
        case.check(False)


def test_bytes_that_are_not_the_next_ones_are_noticed(case):
    stretch = sys.modules["stress_network"].stretch
    case.up.take(stretch(3, 5), case)
    for at in (7, 9):  # doubled, lost
        with pytest.raises(AssertionError, match="other bytes"):
            case.up.take(stretch(at, 5), case)


def test_a_connection_that_is_served_twice_or_not_dialed_is_noticed(case):
    case.served = 2
    with pytest.raises(AssertionError, match="served 2 times"):
        case.check(False)
    case.served, case.failed = 0, ConnectionResetError()
    with pytest.raises(AssertionError):
        case.check(False)
    case.fault = "cancelled"
    case.check(False)
