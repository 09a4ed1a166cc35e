"""A goroutine that dies outside of `run`: the main thread unwinds; who sits at a prompt stays."""

from __future__ import annotations

import sys

import pytest

from harness import run_python

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGURG")

PROGRAM = """
import asyncio, atexit, signal, sys, threading, time
import gopark

atexit.register(lambda: print("atexit"))

begun = []

async def bad():
    while not begun:
        await gopark.time.sleep(0.001)
    {dies}

def spin():
    while True:
        pass

try:
    gopark.go(bad)
    {first}
    begun.append(True)
    {waits}
finally:
    print("finally")
"""
REPORT = "panic: ValueError: x\n\ngoroutine 2 [running]:\nmain.bad(...)\n"
FOREVER = "threading.Event().wait()"  # only what is tested ends it
WAITS = [
    "time.sleep(60)",
    FOREVER,
    "gopark.block(gopark.Chan().recv())",
    "spin()",
    "gopark.cgo.call(time.sleep, 60)",
    "asyncio.run(asyncio.sleep(60))",
]


def ended(dies, waits, first="", options=()):
    return run_python([*options, "-c", PROGRAM.format(dies=dies, waits=waits, first=first)])


@POSIX
@pytest.mark.parametrize("waits", WAITS)
def test_a_panic_lets_main_tidy_up(waits):
    done = ended("raise ValueError('x')", waits)
    assert done.stderr.startswith(REPORT)
    assert done.stderr.count("panic") == 1
    assert done.status == 2
    assert done.stdout == "finally\natexit\n"


@POSIX
def test_a_thread_that_goes_on_is_not_waited_for():
    """It would keep the interpreter from its end, and from `atexit`, for as long as it likes."""
    first = "threading.Thread(target=time.sleep, args=(60,)).start()"
    done = ended("raise ValueError('x')", FOREVER, first)
    assert done.stderr.startswith(REPORT)
    assert (done.stdout, done.status) == ("finally\n", 2)


@POSIX
def test_sys_exit_of_a_goroutine_lets_main_tidy_up():
    assert ended("sys.exit(7)", FOREVER) == ("finally\natexit\n", "", 7)


@POSIX
def test_a_fatal_error_lets_main_tidy_up():
    done = ended("gopark.sync.Mutex().unlock()", FOREVER)
    report = "fatal error: sync: unlock of unlocked mutex\n\ngoroutine 2 [running]:\n"
    assert done.stderr.startswith(report)
    assert (done.stdout, done.status) == ("finally\natexit\n", 2)


@POSIX
def test_main_may_wait_for_more_after_the_death():
    """It waits in `block` once it has been told, in its own cleanup: that is its own affair."""
    waits = (
        "time.sleep(60)\nfinally:\n    gopark.block(gopark.time.sleep(0.01)); print('waited')\n"
        "try:\n    pass"
    )
    done = ended("raise ValueError('x')", waits)
    assert done.stderr.startswith(REPORT)
    assert (done.stdout, done.status) == ("waited\natexit\n", 2)


@POSIX
def test_a_handler_for_the_signal_that_is_used_does_not_hide_main():
    """It is not called for what the runtime sends."""
    mine = "signal.signal(signal.SIGURG, lambda *_: print('called'))"
    done = ended("raise ValueError('x')", FOREVER, mine)
    assert done.stderr.startswith(REPORT)
    assert (done.stdout, done.status) == ("finally\natexit\n", 2)


@POSIX
def test_who_asks_for_a_dump_when_no_thread_is_to_be_had_does_main_no_harm():
    program = """
import _thread, os, signal, time
import gopark
gopark.block(gopark.gosched())
def none(*args):
    print("none")
    raise RuntimeError("can't start new thread")
_thread.start_new_thread = none
os.kill(os.getpid(), signal.SIGURG)
time.sleep(0)
"""
    assert run_python(["-c", program]) == ("none\n", "", 0)


def test_where_main_cannot_be_reached_the_process_exits():
    """The program has taken the signal for itself, where nobody has noticed."""
    mine = "import _signal; _signal.signal(signal.SIGURG, lambda *_: None)"
    done = ended("raise ValueError('x')", FOREVER, mine)
    assert done.stderr.startswith(REPORT)
    assert (done.stdout, done.status) == ("", 2)


ATPROMPT = """
import sys, threading
{prompt}
import gopark
sys.excepthook = lambda *_: print("hook")

async def bad():
    raise ValueError("x")

async def worse():
    sys.exit(3)

async def fatal():
    gopark.sync.Mutex().unlock()

left = []
def watch(fn):
    gopark.go(fn)
    while gopark.runtime.num_goroutine():
        pass
for fn in (bad, bad, worse, fatal):
    watch(fn)
gopark.go(left.append, "lives")
while not left:
    pass
print("the prompt", *left)
"""
IPYTHON = """
import types
IPython = types.ModuleType("IPython")
IPython.get_ipython = lambda: object()
sys.modules["IPython"] = IPython
"""


@pytest.mark.parametrize("prompt", ["sys.ps1 = '>>> '", IPYTHON], ids=["python", "IPython"])
def test_at_a_prompt_the_goroutine_ends_and_the_process_lives(prompt):
    done = run_python(["-c", ATPROMPT.format(prompt=prompt)])
    assert done.stdout == "the prompt lives\n"
    assert done.stderr.count("panic: ValueError: x\n\ngoroutine ") == 2
    fatal = "fatal error: sync: unlock of unlocked mutex\n\ngoroutine "
    assert done.stderr.count(fatal) == 1
    assert done.status == 0
