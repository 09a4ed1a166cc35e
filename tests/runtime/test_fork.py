"""The child of a fork can do all that its parent could, whatever other threads were at."""

from __future__ import annotations

import os
import re

import pytest

from gopark._runtime.base import objlocks
from gopark._runtime.base.runtime2 import FREETHREADED
from harness import Ended, start_python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

# What holds a lock of ours, and is neither of one program nor of one goroutine.
LOCKS = '''
import _thread
import importlib
import os
import pkgutil
import signal
import sys
import threading
import types
import warnings
from collections import deque

import gopark
from gopark._runtime.base.lockrank import Rank, _RankedLock, _RankedRLock, lasting, mklock
from gopark._runtime.base.runtime2 import Note

warnings.simplefilter("ignore")
LOCKS = (_thread.LockType, type(threading.RLock()), _RankedLock, _RankedRLock)


def modules():
    for found in pkgutil.walk_packages(gopark.__path__, "gopark."):
        if found.name not in ("gopark.__main__", "gopark.testing.plugin"):
            try:
                importlib.import_module(found.name)
            except ImportError:
                pass  # what it is for is not installed
    return [m for name, m in sorted(sys.modules.items()) if name.partition(".")[0] == "gopark"]


class Walk:
    """Every lock that can be reached from the modules, by where it is."""

    def __init__(self):
        self.seen, self.found = set(), {}
        for module in modules():
            for name, value in list(vars(module).items()):
                if not isinstance(value, types.ModuleType):
                    self.go(value, f"{module.__name__}.{name}")

    def go(self, what, where):
        if id(what) in self.seen:
            return
        self.seen.add(id(what))
        if isinstance(what, LOCKS) or (isinstance(what, deque) and where.endswith("lock")):
            self.found[where] = what
        else:
            for name, value in self.parts(what):
                self.go(value, f"{where}.{name}")

    def parts(self, what):
        if isinstance(what, (dict, types.MappingProxyType)):
            for key, value in list(what.items()):
                yield repr(key)[:40], value
                yield "key", key
        elif isinstance(what, (list, tuple, set, frozenset, deque)):
            for n, value in enumerate(list(what)):
                yield str(n), value
        elif isinstance(what, types.MethodType):
            yield "self", what.__self__
        elif isinstance(what, types.FunctionType) and "gopark" in (what.__module__ or ""):
            for n, cell in enumerate(what.__closure__ or ()):
                try:
                    yield f"cell{n}", cell.cell_contents
                except ValueError:
                    pass
            yield "defaults", what.__defaults__
            yield "kwdefaults", what.__kwdefaults__
        elif isinstance(what, type) and what.__module__.startswith("gopark"):
            for name, value in list(vars(what).items()):
                yield name, value
        elif self.ours(what):
            for cls in type(what).__mro__:
                slots = vars(cls).get("__slots__", ())
                for name in (slots,) if isinstance(slots, str) else slots:
                    if name != "__weakref__" and hasattr(what, name):
                        yield name, getattr(what, name)
            for name, value in list(getattr(what, "__dict__", {}).items()):
                yield name, value

    def ours(self, what):
        """A Note is for one who sleeps, and held by nobody."""
        place = type(what).__module__.partition(".")[0]
        return place in ("gopark", "functools", "weakref") and not isinstance(what, Note)


def take(lock):
    """In whatever order."""
    if isinstance(lock, deque):
        deque.pop(lock)
        return True
    return lock.acquire(False)


def free(lock):
    if isinstance(lock, deque):
        return len(lock) == 1
    return lock.acquire(False) and not lock.release()
'''

HELD = (
    LOCKS
    + '''
class Ours:
    """Of a kind that is not there yet."""
    __module__ = "gopark.test"
    def __init__(self, lock):
        self.lock = lock


def hold(found, held):
    for lock in {id(lock): lock for lock in found.values()}.values():
        assert take(lock)
    held.set()
    threading.Event().wait()


async def main():
    await gopark.gosched()  # there has been a program
    await gopark.time.sleep(0.001)


gopark.run(main)
gopark.startm = Ours(mklock(Rank.SCHED))  # it is found, and found to be held
found = Walk().found
assert len(found) > 25, found
held = threading.Event()
threading.Thread(target=hold, args=(found, held), daemon=True).start()
held.wait()
pid = os.fork()
if not pid:
    signal.alarm(20)
    print(sorted(where for where, lock in Walk().found.items() if not free(lock)), flush=True)
    os._exit(0)
print(os.waitpid(pid, 0)[1], flush=True)
os._exit(0)
'''
)


@pytest.mark.parametrize("debug", ["", "lockrank=1", "checksched=1,lockrank=1"])
def test_every_lock_that_somebody_else_held_is_free_in_the_child(tmp_path, debug):
    """Found by looking, so that a new one is among them: make it with `lockrank.lasting`."""
    program = tmp_path / "prog.py"
    program.write_text(HELD)
    child = start_python([str(program)], env={"GOPARKDEBUG": debug})
    ended = child.end()
    found, held = ended.stdout.splitlines()
    assert re.fullmatch(r"""\[["']gopark\.\S*startm\S*\.lock["']\]""", found), found
    assert (held, ended.stderr, ended.status) == ("0", "", 0)


LOOKS = """
import gc
import io
import os
import signal
import sys
import threading
import warnings

import gopark
from gopark import context, metrics, pprof, trace

warnings.simplefilter("ignore")
stop = threading.Event()


def traced():
    trace.start(io.BytesIO())
    trace.stop()


LOOKS = {
    "leaks": gopark.debug.leaks,
    "stack": lambda: gopark.runtime.stack(all=True),
    "metrics": lambda: metrics.read([metrics.Sample(d.name) for d in metrics.all()]),
    "profiles": lambda: [p.write_to(io.BytesIO(), 1) for p in pprof.profiles()],
    "labels": lambda: pprof.do(context.background(), pprof.labels("a", "b"), lambda ctx: None),
    "trace": traced,
    "calls": lambda: gopark.cgo.call(int),
}


if sys.argv[2] == "True":
    # A child of free-threaded 3.13 that was forked while another thread waited to stop the world,
    # as the collector does, hangs when it does so itself. A search for leaks lets forks be.
    gc.disable()


def look(what):
    while not stop.is_set():
        LOOKS[what]()


def child():
    signal.alarm(20)

    async def main():
        ch = gopark.Chan()
        gopark.go(ch.send, 1)
        assert await ch.recv() == 1
        for look in LOOKS.values():
            look()

    gopark.run(main)
    os._exit(0)


def main():
    looker = threading.Thread(target=look, args=(sys.argv[1],))
    looker.start()
    bad = 0
    for _ in range(10):
        pid = os.fork()
        if not pid:
            child()
        bad += os.waitpid(pid, 0)[1] != 0
    stop.set()
    looker.join()
    print(bad)


gopark.run(main)
"""


@pytest.mark.parametrize(
    "what",
    ["leaks", "stack", "metrics", "profiles", "labels", "trace", "calls"],
)
def test_a_child_that_was_forked_while_others_looked_can_look_as_well(tmp_path, what):
    program = tmp_path / "prog.py"
    program.write_text(LOOKS)
    child = start_python([str(program), what, str(FREETHREADED)])
    assert child.end() == Ended("0\n", "", 0)


@pytest.mark.skipif(not objlocks.NEEDED, reason="a fork finds all threads standing still here")
@pytest.mark.parametrize(
    "held",
    ["traceback.transparent", "newproc.allgs", "vars(rt0)", "sys.modules"],
)
def test_what_another_thread_was_looking_something_up_in(child, held):
    """Its lock is taken as such a thread would have taken it, whom the child does not have."""
    result = child(
        f"""
import ctypes, os, sys, threading, warnings
import gopark
from gopark._runtime.main import rt0
from gopark._runtime.report import traceback
from gopark._runtime.sched import newproc

warnings.simplefilter("ignore")

async def main():
    ch = gopark.Chan()
    gopark.go(ch.send, "sent")
    return len(gopark.runtime.stack(all=True)) and await ch.recv()

gopark.run(main)
lock = ctypes.c_ubyte.from_address(id({held}) + 10)
def take():
    lock.value = 1
def giveback():
    lock.value = 0
os.register_at_fork(before=take, after_in_parent=giveback)
pid = os.fork()
if not pid:
    print(gopark.run(main), flush=True)
    os._exit(0)
print(os.waitpid(pid, 0)[1])
"""
    )
    assert (result.stdout, result.stderr) == ("sent\n0\n", "")
