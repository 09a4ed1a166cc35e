"""`gopark top`: the page it makes, and what a terminal sees of it."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

import harness
from gopark._cmd import _ask, _top
from harness import run_python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what can be asked")

SNAPSHOT = {
    "pid": 7, "at": 10.0, "cpu": 2.5, "goroutines": 1234, "runqueue": 3, "timers": 1,
    "states": [["chan receive", 1230], ["running", 4]],
    "groups": [
        [1230, 5, "chan receive", "main.w(...)\n\t/p/p.py:3\ncreated by main.main\n\t/p/p.py:9\n"],
        [1, 1, "running", "main.main(...)\n\t/p/p.py:10\n"],
        [1, 2, "syscall", "\tgoroutine running on other thread; stack unavailable\n"],
    ],
    "ungrouped": 2,
    "ms": [[1, 71, "running", 0, 1], [2, 72, "idle", None, None], [3, 73, "idle", None, None]],
    "ps": [[0, "running", 1, 2, 99], [1, "idle", None, 0, 5]],
}  # fmt: skip


def test_the_page():
    later = {**SNAPSHOT, "at": 12.0, "cpu": 3.5}
    assert _top.page(later, SNAPSHOT, 100) == [
        "gopark top: process 7   1,234 goroutines   GOMAXPROCS 2   1 timer   CPU 3.5 s, 50% now",
        "states   chan receive 1,230  running 4",
        "Ps       global queue 3   P0 running M1, queue 2   P1 idle, queue 0",
        "Ms       M1 (thread 71) goroutine 1 running on P0",
        "         2 idle",
        "",
        "   COUNT  STATE         WHERE                                 CREATED BY",
        "   1,230  chan receive  main.w p.py:3                         main.main p.py:9",
        "       1  running       main.main p.py:10 [1]",
        "       1  syscall       goroutine running on other thread; st",
        "       2  more, whose stacks were not read",
    ]


def test_no_line_is_wider_than_the_terminal():
    assert max(map(len, _top.page(SNAPSHOT, None, 40))) == 40


def test_of_a_program_without_a_goroutine():
    empty = {**SNAPSHOT, "goroutines": 0, "states": [], "groups": [], "ms": [], "ps": []}
    assert _top.page(empty, None, 80)[1] == "states   none"


@pytest.mark.parametrize("options", [["--once"], []])
def test_without_a_terminal_it_is_one_page_of_text(hanging, options):
    child = hanging("StuckCall")
    ended = run_python(["-m", "gopark", "top", *options, str(child.pid)])
    assert (ended.stderr, ended.status) == ("", 0)
    assert "\x1b" not in ended.stdout
    assert ended.stdout.startswith(f"gopark top: process {child.pid}   3 goroutines   ")
    assert re.search(r"^ +2  chan receive  stuck\.waits stuck\.py:\d+ ", ended.stdout, re.M)
    assert re.search(r"^Ms +M\d+ \(thread \d+\) goroutine 1 in C$", ended.stdout, re.M)


class Terminal:
    """`gopark top` in a pseudo terminal."""

    def __init__(self, *args: str, rows: int = 12, columns: int = 90) -> None:
        self.fd, inside = harness.terminals()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        self.before = termios.tcgetattr(inside)
        self.inside = inside
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gopark", "top", *args],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=harness._environment({}),
            start_new_session=True,
        )

    def expect(self, text: str) -> None:
        """Read until the text comes."""
        deadline = time.monotonic() + harness.TIMEOUT
        while text not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} did not come: {self.seen!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.seen += os.read(self.fd, 65536).decode()

    def forget(self) -> None:
        self.seen = ""

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def ended(self) -> int:
        """Its status; the terminal is again as it was."""
        self.expect("\x1b[?25h\x1b[?1049l")
        status = self.process.wait(harness.TIMEOUT)
        assert termios.tcgetattr(self.inside) == self.before
        return status

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.fd)
        os.close(self.inside)


@pytest.fixture
def terminal():
    made: list[Terminal] = []

    def terminal(*args: str, **size: int) -> Terminal:
        made.append(Terminal(*args, **size))
        return made[-1]

    yield terminal
    for each in made:
        each.close()


@pytest.mark.parametrize("key", ["q", "Q", "\x1b"])
def test_in_a_terminal_it_is_drawn_again_and_again_until_a_key_ends_it(hanging, terminal, key):
    child = hanging("StuckSpin")
    screen = terminal("--interval", "0.05", str(child.pid))
    screen.expect("\x1b[?1049h\x1b[?25l")
    for _ in range(3):
        screen.expect("% now")
        screen.expect(" q quits ")
        screen.forget()
    screen.press("x\x1b[A")  # other keys, and an arrow, do nothing
    screen.expect("% now")
    screen.press(key)
    assert screen.ended() == 0


def test_a_small_terminal_shows_what_fits(hanging, terminal):
    screen = terminal(str(hanging("StuckCall").pid), rows=5, columns=30)
    screen.expect(" lines more \x1b[m")
    lines = [re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", line) for line in screen.seen.split("\r\n")]
    assert max(map(len, lines)) <= 32
    assert len(lines) <= 5
    screen.process.send_signal(signal.SIGINT)
    assert screen.ended() == 0


def test_it_ends_with_the_process_and_says_so(hanging, terminal):
    child = hanging("StuckCall")
    screen = terminal("--interval", "0.05", str(child.pid))
    screen.expect(" q quits ")
    child.kill()
    assert screen.ended() == 0
    screen.expect(f"gopark top: process {child.pid} has ended, or was ended, while it was asked")


def test_a_sigterm_leaves_the_terminal_as_it_was(hanging, terminal):
    screen = terminal(str(hanging("StuckCall").pid))
    screen.expect(" q quits ")
    screen.process.terminate()
    assert screen.ended() == 128 + signal.SIGTERM


def test_looking_twice_is_one_connection(hanging):
    with _ask.connect(hanging("StuckCall").pid, 20) as process:
        first, second = _top._look(process), _top._look(process)
    assert first["at"] < second["at"]
    assert first["goroutines"] == second["goroutines"] == 3


def test_nothing_of_the_other_process_steers_the_terminal():
    """It may be one that does not escape what it shows."""
    stack = "main.\x1b[2J\x9bf(...)\n\t/p/\x1b]0;title\x07p.py:3\n"
    snapshot = {**SNAPSHOT, "groups": [[1, 5, "chan\rreceive", stack]]}
    page = "\n".join(_top.page(snapshot, None, 200))
    assert "\\x1b[2J\\x9bf" in page
    assert all(line.isprintable() for line in page.split("\n"))
