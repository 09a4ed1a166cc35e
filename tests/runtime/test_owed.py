"""What main is owed reaches main, though a finaliser that Python ran on top of it took it first."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from gopark._runtime.base.unraisable import look, nolonger
from gopark._runtime.signal import owed

PROGRAM = """
import os, signal, sys, threading, time
import gopark

class Alarm(Exception): ...

def alarm(signum, frame):
    raise Alarm

signal.signal(signal.SIGUSR1, alarm)
signum, error = {signum}
done = threading.Event()

async def hold():
    done.wait()

async def leave():
    "Hold the threads that main comes by, until it is on another one than the program's first."
    gopark.runtime.gomaxprocs(1)
    while threading.current_thread() is threading.main_thread():
        gopark.go(hold)
        await gopark.gosched()

class Local:
    def __del__(self):
        os.kill(os.getpid(), signum)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            pass
        print("it did not come")

async def main():
    if {elsewhere}:
        await leave()
    caught = 0
    try:
        Local()
        {wait}
    except error:
        caught += 1
    done.set()
    await gopark.time.sleep(0.01)  # a second one would be raised here
    print("caught", caught)

before = sys.unraisablehook
gopark.run(main)
print(sys.unraisablehook is before)
"""


@pytest.mark.parametrize("signum", ["signal.SIGINT, KeyboardInterrupt", "signal.SIGUSR1, Alarm"])
@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize(
    "wait", ["await gopark.Chan().recv()", "while True: pass"], ids=["waits", "computes"]
)
def test_what_is_raised_in_a_finaliser_is_raised_in_main_again(child, signum, elsewhere, wait):
    ended = child(PROGRAM.format(signum=signum, elsewhere=elsewhere, wait=wait))
    assert (ended.stdout, ended.stderr) == ("caught 1\nTrue\n", "")


def test_it_may_be_of_a_class_that_asks_much_of_its_subclasses(child):
    """Another thread is sent a class that stands for the exception."""
    ended = child("""
import os, signal, threading
import gopark

named = []

class Meta(type):
    def __new__(meta, name, bases, namespace, *, code):
        named.append(name)
        return super().__new__(meta, name, bases, namespace)
    def __init__(cls, name, bases, namespace, *, code): ...

class Coded(Exception, metaclass=Meta, code=0):
    def __init_subclass__(cls):
        named.append(cls.__name__)

class Alarm(Coded, code=4): ...

def alarm(signum, frame):
    raise Alarm

signal.signal(signal.SIGUSR1, alarm)
done = threading.Event()

async def hold():
    done.wait()

async def main():
    gopark.runtime.gomaxprocs(1)
    while threading.current_thread() is threading.main_thread():
        gopark.go(hold)
        await gopark.gosched()
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    i = 0
    try:
        while True:
            i += 1
            i -= 1
    except Alarm as exc:
        done.set()
        print(type(exc) is Alarm, named)

gopark.run(main)
""")
    assert (ended.stdout, ended.stderr) == ("True ['Coded', 'Alarm', 'Alarm']\n", "")


def test_what_a_finaliser_raises_itself_is_told_as_ever(child):
    ended = child("""
import gopark

class Local:
    def __del__(self):
        raise ValueError("mine")

async def main():
    Local()

gopark.run(main)
""")
    assert ended.stderr.startswith("Exception ignored")
    assert ended.stderr.endswith("ValueError: mine\n")


def test_a_hook_that_is_set_while_a_program_runs_stays(child):
    ended = child("""
import sys
import gopark

def mine(args):
    print("mine", args.exc_value)

class Local:
    def __del__(self):
        raise ValueError("told")

async def main():
    sys.unraisablehook = mine

gopark.run(main)
Local()
gopark.run(main)
Local()
""")
    assert (ended.stdout, ended.stderr) == ("mine told\nmine told\n", "")


def chain(exc):
    while exc is not None:
        yield str(exc)
        exc = exc.__context__


def test_several_that_are_owed_at_the_end_are_one_chain():
    first, second, third = (ValueError(n) for n in "123")
    inner = KeyError("inner")
    third.__context__ = inner  # the handler itself was handling that
    assert list(chain(owed.behind(third, owed.behind(second, first)))) == ["3", "'inner'", "2", "1"]


def test_what_came_after_the_same_keeps_that_behind_both():
    before, first, second = (ValueError(n) for n in "012")
    first.__context__ = second.__context__ = before
    last = owed.behind(second, first)
    assert list(chain(last)) == ["2", "1", "0"]
    assert owed.behind(before, last) is last


def test_hooks_that_call_the_one_before_them_are_each_called_once(child):
    """However often ours was put before them, and they before ours."""
    ended = child("""
import sys
import gopark

def chain(name):
    before = sys.unraisablehook
    def mine(args):
        print(name, end=" ")
        before(args)
    sys.unraisablehook = mine

class Local:
    def __del__(self):
        raise ValueError

async def main(name=""):
    if name:
        chain(name)
    Local()
    print()

sys.unraisablehook = lambda args: print("first", end=" ")
for name in ("", "second", "", "", "third", "", ""):
    gopark.run(main, name)
Local()
""")
    second, third = "second first ", "third second first "
    lines = ["first ", second, second, second, third, third, third, third]
    assert (ended.stdout, ended.stderr) == ("\n".join(lines), "")


def test_a_taker_that_goes_as_the_hook_is_at_it_takes_nobody_elses_turn(monkeypatch):
    told, taken = [], []
    ignored = SimpleNamespace(err_msg=None, exc_value=None, object=None)
    monkeypatch.setattr("sys.unraisablehook", told.append)

    def goes(args):
        nolonger(goes)

    def takes(args):
        return lambda: taken.append(args)

    look(goes)
    look(takes)
    try:
        sys.unraisablehook(ignored)
    finally:
        nolonger(goes)
        nolonger(takes)
    assert (taken, told) == ([ignored], [])


@pytest.mark.parametrize(
    ("error", "body"),
    [
        ("DeadlockError", "await gopark.Chan().recv()"),
        ("FatalError", "gopark.go(int, 'x'); await gopark.time.sleep(3600)"),
    ],
)
def test_a_fatal_error_is_the_last_word(child, error, body):
    """A handler that raises as the program dies does not take its death away."""
    done = child(f"""
import os, signal, sys
import gopark

class Late(Exception): ...

def late(signum, frame):
    print("called")
    raise Late

class Stderr:
    def write(self, text):
        sys.__stderr__.write(text)
        os.kill(os.getpid(), signal.SIGUSR1)

    def flush(self):
        sys.__stderr__.flush()

async def main():
    {body}

signal.signal(signal.SIGUSR1, late)
gopark.debug.strict_deadlock()
sys.stderr = Stderr()
try:
    gopark.run(main)
except BaseException as exc:
    print(type(exc).__name__)
sys.stderr = sys.__stderr__
""")
    assert done.stdout == f"called\n{error}\n", done.stderr
