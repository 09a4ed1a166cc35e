"""The compiled twin beside the pure source: the same names, signatures, texts and errors.

Each program runs in two children, one with the twin and one without, and prints the same.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

import gopark
from harness import run_python

ROOT = pathlib.Path(gopark.__file__).parents[2]


def build_hook():
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOK = build_hook() if (ROOT / "hatch_build.py").exists() else None
WHY = "the sources of the twin are not here" if HOOK is None else HOOK.unsuited()
pytestmark = pytest.mark.skipif(bool(WHY), reason=WHY or "it has one")


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """The path of the twin, built for this interpreter; warnings are errors."""
    try:
        return str(HOOK.build(tmp_path_factory.mktemp("twin"), ("-O1",)))
    except subprocess.CalledProcessError as exc:
        pytest.fail(exc.stderr)


@pytest.fixture
def both(twin):
    """What a program prints, with the twin and without, checked to be what was asked for."""

    def run(program: str, **env: str) -> str:
        results = []
        for asked in ("0", twin):
            head = f"from gopark._runtime import twin\nassert (twin.why == '') is {asked != '0'}\n"
            result = run_python(["-c", head + program], env={"GOPARK_TWIN": asked, **env})
            results.append((result.status, result.stdout, result.stderr))
        assert results[0] == results[1]
        assert results[0][0] == 0, results[0][2]
        return results[0][1]

    return run


SHAPES = """
import inspect, gopark, pickle, copy
from gopark import Chan
for fn in (gopark.go, gopark.gosched, Chan.send, Chan.recv, Chan.recv_ok):
    names = ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__", "__defaults__")
    print([getattr(fn, name) for name in names], inspect.signature(fn))
    print(inspect.iscoroutinefunction(fn), inspect.getsourcelines(fn)[1], callable(fn))
    print(pickle.loads(pickle.dumps(fn)) is fn, copy.deepcopy(fn) is fn)
for cls in (Chan, Chan[int]):
    print(cls, inspect.signature(cls), cls.__doc__)
print([name for name in dir(Chan) if not name.startswith("__")])
"""


def test_names_signatures_and_docs_are_the_same(both):
    assert "Wait until" in both(SHAPES) or "wait until" in both(SHAPES)


ERRORS = """
import warnings, gopark
from gopark import Chan, go
from gopark._runtime.base.runtime2 import G, M, tls

def says(fn, *args, **kwargs):
    try:
        print(fn(*args, **kwargs))
    except BaseException as exc:
        print(type(exc).__module__, type(exc).__qualname__, str(exc).partition(" at 0x")[0])

async def later(coro):
    try:
        print(await coro)
    except BaseException as exc:
        print(type(exc).__qualname__, exc)

async def main():
    says(go); says(go, None); says(go, 1); says(go, later, 1, 2); says(go, later, other=1)
    says(gopark.gosched, 1)
    ch = Chan()
    says(ch.send); says(ch.send, 1, 2); says(ch.recv, 1); says(ch.recv_ok, x=1); says(Chan.send)
    ch.close()
    await later(ch.send(1)); await later(ch.recv()); await later(ch.recv_ok())
    for op in (ch.recv(), gopark.gosched()):
        await op
        await later(op)
    ch = Chan()
    op = ch.recv()
    go(later, op)
    await gopark.gosched()
    await later(op)
    says(gopark.block, op)
    await ch.send("for the first")
    await gopark.gosched()

gopark.run(main)
says(lambda: Chan().recv().send(None))
says(lambda: Chan().send(1).send(None))
op = Chan().recv()
print(op.cr_code.co_qualname if hasattr(op.cr_code, "co_qualname") else "", op.__name__)
print(op.__qualname__, op.cr_running, op.cr_await)
says(op.throw, ValueError("v")); says(op.send, None)
op = Chan(1).recv(); op.close(); says(op.send, None)
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    Chan().send(1); Chan().recv(); Chan().recv_ok(); gopark.gosched()
print([(w.category.__name__, str(w.message)) for w in seen])
"""


def test_errors_have_the_same_texts(both):
    said = both(ERRORS)
    assert "send on closed channel" in said
    assert "was never awaited" in said


SELECTS = """
import gc, weakref, gopark
from gopark import Chan, go, gosched, recv, select, send
from gopark._runtime.chan.selectgo import SendCase

class Value: ...

async def says(*cases, **options):
    try:
        print(await select(*cases, **options))
    except (Exception, gopark.DeadlockError) as exc:
        print(type(exc).__qualname__, str(exc).partition(" at 0x")[0])

async def main():
    a, b, full = Chan(), Chan(2), Chan(1)
    await full.send(0)
    await says(1); await says(recv(a), 1)
    await says(recv(a), send(full, 1), default=True)
    await says(recv(None), recv(None), default=True)
    await says(recv(a), send(b, "in"))
    print((await select(recv(b), recv(b), default=True))[1:])
    tick = gopark.time.after(0)
    await says(SendCase(tick, 1))  # as a channel that refuses
    print((await select(recv(tick), recv(a)))[0])
    go(says, recv(a), recv(b))
    await gosched()
    await a.send("woken by send")
    await gosched()
    print(len(a._recvq), len(b._recvq), a._nmarked, b._nmarked)
    go(says, send(a, "taken by recv"), recv(b))
    await gosched()
    print(await a.recv(), a.try_recv())
    await gosched()
    go(says, recv(a), recv(b))
    await gosched()
    await says(send(a, "from select to select"), default=True)
    await gosched()
    value = Value()
    ref = weakref.ref(value)
    go(says, send(a, value), recv(b))
    del value
    await gosched()
    await b.send(1)
    await gosched()
    gc.collect()
    print(ref() is None, len(a._sendq), len(b._recvq))
    try:
        with gopark.timeout(0.001):
            await select(recv(a), recv(b), send(a, 1))
    except TimeoutError:
        print("timeout", len(a._recvq), len(a._sendq), len(b._recvq))
    go(says, send(a, 1), recv(b))
    await gosched()
    a.close()
    await gosched()
    await says(send(a, 1), default=True)
    await says(recv(a))
    many = [Chan(1) for _ in range(40)]
    await many[33].send("of many")
    await says(*map(recv, many))
    both, ends = Chan(), []
    async def meets():
        ends.append(await select(recv(both), send(both, "other")))
    go(meets); go(meets)
    await gosched(); await gosched()
    print(sorted(ends), len(both._recvq), len(both._sendq))
    seen = set()
    x, y = Chan(1), Chan(1)
    for _ in range(200):
        seen.add((await select(send(x, 1), send(y, 1)))[0])
        await select(recv(x), recv(y))
    print(seen)

gopark.run(main)
try:
    select(recv(Chan())).send(None)
except Exception as exc:
    print(type(exc).__qualname__, exc)
"""


def test_selects_are_the_same(both):
    said = both(SELECTS)
    assert "'of many'" in said
    assert "{0, 1}" in said


FORKS = """
import os, socket, warnings, gopark
from gopark import Chan, go, net, recv, select

warnings.simplefilter("ignore")  # of a fork beside threads

async def child():
    ch = Chan()
    go(ch.send, "child")
    print(await select(recv(ch)), gopark.runtime.num_goroutine(), flush=True)
    ln = net.listen("tcp", "127.0.0.1:0")
    async def answer():
        with await ln.accept() as conn:
            await conn.write(await conn.read())
    go(answer)
    with await net.dial("tcp", ln.addr) as conn:
        await conn.write(b"over the network")
        print(await conn.read(), flush=True)
    ln.close()

async def main():
    a, b = map(net.from_socket, socket.socketpair())
    go(a.read)  # the poller and its locks are in use
    go(gopark.Chan().recv)
    await gopark.gosched()
    pid = os.fork()
    if not pid:
        try:
            gopark.run(child)
        finally:
            os._exit(0)
    print(gopark.cgo.call(os.waitpid, pid, 0)[1])
    await b.write(b"to the end")
    await ended(a, b)

async def ended(a, b):
    b.close()
    while len(gopark._runtime.base.runtime2.allgs) > 2:
        await gopark.time.sleep(0)
    a.close()

gopark.run(main)
"""


def test_the_child_of_a_fork_goes_on(both):
    assert "over the network" in both(FORKS)


NOMEMORY = """
import os, signal, _testcapi, gopark
from gopark import Chan, go, gosched, recv, select, send

got = []

async def main(n):
    a, b, c = Chan(), Chan(4), Chan()
    async def echo():
        async for v in a:
            await b.send(v)
    async def work(i):
        got.append(i)
    if n >= 0:
        _testcapi.set_nomemory(n, n + 1)
    go(echo)
    for i in range(5):
        go(c.recv_ok)
        go(work, i)
    await gosched()
    for i in range(5):
        await a.send([i])
        await b.recv_ok()
    await select(recv(c), send(b, 3))
    go(select, recv(c), recv(a))
    await gosched()
    _testcapi.remove_mem_hooks()  # to close is Python's
    c.close()
    await gosched()

def child(n):
    signal.alarm(60)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        gopark.run(main, n)
        os._exit(0 if len(got) == 5 else 1)
    except BaseException:
        _testcapi.remove_mem_hooks()
        os._exit(2)

gopark.run(main, -1)
got.clear()
ends = []
for n in range(100):
    pid = os.fork()
    if not pid:
        child(n)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(*ends)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_without_memory_there_is_an_error_and_nothing_crashes_hangs_or_is_lost(twin):
    """One allocation fails, each in its turn: the program ends with that error, or is whole."""
    pytest.importorskip("_testcapi", reason="no _testcapi")
    ended = run_python(["-W", "ignore", "-c", NOMEMORY], env={"GOPARK_TWIN": twin})
    ends = [int(end) for end in ended.stdout.split()]
    assert (len(ends), ended.stderr, {*ends}) == (100, "", {0, 2}), ended


DUMP = """
import re, gopark
from gopark import Chan
from gopark.testing import wait_all_parked

async def receiver(ch): await ch.recv()
async def sender(ch): await ch.send(receiver)
async def chooser(a, b): await gopark.select(gopark.recv(a), gopark.send(b, 1))

async def main():
    a, b, c = Chan(), Chan(), Chan()
    gopark.go(receiver, a)
    gopark.go(sender, b)
    gopark.go(chooser, c, c)
    gopark.go(a.recv)
    gopark.go(a.recv_ok)
    gopark.go(lambda: gopark.block(a.recv()))
    await wait_all_parked()
    text = gopark.runtime.stack(all=True)
    print(re.sub(r"(chan|timesleep)\\.py:\\d+", r"\\1.py", text))

gopark.run(main)
"""


def test_dumps_are_the_same(both):
    assert "gopark.Chan.recv(...)" in both(DUMP)


ACCOUNTS = """
import gc, weakref, gopark
from gopark import Chan
from gopark._runtime.base.runtime2 import allgs, getg, goids

class Value: ...

async def main():
    before = int(repr(goids)[6:-1])
    ch, refs = Chan(), []
    async def one(v):
        g = getg()
        print(g, g.parentid, g.waitreason if False else "", g.success, g.elem, g.waiting)
        await ch.send(v)
        print(g, g.elem, g.waiting)
    for _ in range(3):
        v = Value()
        refs.append(weakref.ref(v))
        gopark.go(one, v)
    del v
    for _ in range(3):
        await gopark.gosched()
    print(sorted((g.goid, g.status.name, g.waitreason) for g in allgs if g is not getg()))
    print(len(allgs), getg() in allgs, int(repr(goids)[6:-1]) - before)
    print(gopark.runtime.num_goroutine())
    for _ in range(3):
        await ch.recv()
    await gopark.gosched()
    gc.collect()
    print([r() for r in refs], len(allgs))

gopark.run(main)
"""


def test_accounts_are_the_same(both):
    assert "chan send" in both(ACCOUNTS)


def test_a_debug_mode_runs_on_the_pure_source_and_says_so(twin):
    program = "from gopark._runtime import twin; print(twin.native, twin.why)"
    for mode in ("checksched=1", "lockrank=1", "tracebackancestors=3"):
        env = {"GOPARK_TWIN": twin, "GOPARKDEBUG": mode}
        said = run_python(["-c", program], env=env).stdout
        assert said == f"None GOPARKDEBUG has {mode.partition('=')[0]}\n"
    said = run_python(["-c", program], env={"GOPARK_TWIN": twin, "GOPARK_PURE": "1"}).stdout
    assert said == "None GOPARK_PURE=1\n"


COUNTS = """
import gc, sys, gopark
from gopark import Chan

async def round_():
    a, b = Chan(), Chan(3)
    async def echo():
        async for v in a:
            await b.send([v])
        b.close()
    gopark.go(echo)
    async def feed():
        for n in range(50):
            await a.send((n,))
            await gopark.gosched()
        a.close()
    gopark.go(feed)
    n = 0
    while (await b.recv_ok())[1]:
        n += 1
    op = a.recv(); op.close()
    return n

def once():
    assert gopark.run(round_) == 50
    gc.collect()

for _ in range(10):
    once()
before = len(gc.get_objects()), sys.getallocatedblocks()
for _ in range(50):
    once()
after = len(gc.get_objects()), sys.getallocatedblocks()
print(after[0] - before[0] < 50, after[1] - before[1] < 500)
"""


def test_nothing_is_left_of_what_has_ended(both):
    assert both(COUNTS) == "True True\n"


@pytest.mark.skipif(sys.platform != "linux", reason="a shared library by that name")
def test_what_cannot_be_loaded_is_said(tmp_path):
    file = tmp_path / "native.so"
    file.write_bytes(b"no library")
    program = "from gopark._runtime import twin; print(twin.native, twin.why)"
    said = run_python(["-c", program], env={"GOPARK_TWIN": os.fspath(file)}).stdout
    assert said.startswith("None it is not there: ")
