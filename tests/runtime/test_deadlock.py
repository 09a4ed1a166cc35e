"""When a program is dead, and when it only seems so."""

from __future__ import annotations

import _thread
import ctypes
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

import gopark
from gopark import Chan, recv, select
from gopark._runtime.sched import deadlock
from gopark.testing import wait_all_parked

ASLEEP = "fatal error: all goroutines are asleep - deadlock!\n"


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize(
    ("reason", "wait"),
    [
        ("chan receive", lambda: Chan().recv()),
        ("chan send", lambda: Chan().send(1)),
        ("select", lambda: select(recv(Chan()), recv(Chan()))),
        ("select (no cases)", lambda: select()),
    ],
)
def test_main_alone_waiting_for_ever_is_a_deadlock(run, capsys, reason, wait):
    """Go: TestSimpleDeadlock."""

    async def main():
        await wait()

    with pytest.raises(gopark.DeadlockError) as caught:
        run(main)
    assert caught.value.code == 2
    assert str(caught.value) + "\n" == ASLEEP
    err = capsys.readouterr().err
    assert err.startswith(ASLEEP + f"\ngoroutine 1 [{reason}]:\n")


@pytest.mark.usefixtures("procs")
def test_a_plain_main_waiting_for_ever_is_a_deadlock(run, capsys):
    def main():
        gopark.block(Chan().recv())

    with pytest.raises(gopark.DeadlockError):
        run(main)
    assert capsys.readouterr().err.startswith(ASLEEP + "\ngoroutine 1 [chan receive]:\n")


@pytest.mark.usefixtures("procs")
def test_every_goroutine_shows_in_the_report_main_first(run, capsys):
    def plain():
        gopark.block(Chan().recv())

    async def locked():
        gopark.runtime.lock_os_thread()
        await Chan().recv()

    async def main():
        gopark.go(Chan().recv)
        gopark.go(plain)
        gopark.go(locked)
        await Chan().recv()

    with pytest.raises(gopark.DeadlockError):
        run(main)
    err = capsys.readouterr().err
    headers = [line for line in err.split("\n") if line.startswith("goroutine ")]
    assert headers[0] == "goroutine 1 [chan receive]:"
    assert len(headers) == 4
    assert headers[3].endswith("[chan receive, locked to thread]:")


@pytest.mark.usefixtures("procs")
def test_a_deadlock_that_comes_late_is_found(run, capsys):
    async def worker(ch):
        await gopark.time.sleep(0.01)
        await ch.recv()

    async def main():
        ch = Chan()
        gopark.go(worker, ch)
        await Chan().recv()

    with pytest.raises(gopark.DeadlockError):
        run(main)
    assert "[chan receive]" in capsys.readouterr().err


@pytest.mark.usefixtures("procs")
def test_finally_blocks_run_after_a_deadlock(run, capsys):
    log = []

    async def worker():
        try:
            await Chan().recv()
        finally:
            log.append("worker")

    async def main():
        gopark.go(worker)
        try:
            await Chan().recv()
        finally:
            log.append("main")

    with pytest.raises(gopark.DeadlockError):
        run(main)
    assert sorted(log) == ["main", "worker"]
    capsys.readouterr()


# --- not dead ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_a_sleeping_goroutine_can_wake_others():
    """Go: a timer keeps a program alive."""
    ch = Chan()

    async def later():
        await gopark.time.sleep(0.01)
        await ch.send("late")

    gopark.go(later)
    assert await ch.recv() == "late"


@pytest.mark.usefixtures("procs")
async def test_a_pending_after_keeps_the_program_alive():
    assert await gopark.time.after(0.01).recv() is not None


@pytest.mark.usefixtures("procs")
async def test_a_goroutine_in_c_can_wake_others():
    ch = Chan()

    def in_c():
        gopark.cgo.call(ctypes.CDLL(None).usleep, 10_000)
        gopark.block(ch.send("from C"))

    gopark.go(in_c)
    assert await ch.recv() == "from C"


@pytest.mark.usefixtures("procs")
async def test_a_goroutine_that_computes_can_wake_others():
    ch = Chan()

    def computes():
        threading.Event().wait(0.01)  # holds its thread, and says nothing to the scheduler
        gopark.block(ch.send("computed"))

    gopark.go(computes)
    assert await ch.recv() == "computed"


def test_a_program_that_waits_for_its_first_callback_is_not_dead(child):
    """Only a live callback object stands between it and the detector: no Python thread."""
    result = child(
        """
import ctypes, gopark
libc = ctypes.CDLL(None)
START = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
SIGEV_THREAD = 2

class Sigevent(ctypes.Structure):  # glibc's struct sigevent, for SIGEV_THREAD
    _fields_ = [("value", ctypes.c_void_p), ("signo", ctypes.c_int), ("notify", ctypes.c_int),
                ("function", ctypes.c_void_p), ("attributes", ctypes.c_void_p),
                ("pad", ctypes.c_char * 48)]

ch = gopark.Chan()

async def called(_):
    await ch.send("called")

entry = START(gopark.cgo.callback(called))

async def main():
    # libc's own timer thread: it does not exist as far as Python can see.
    event = Sigevent(notify=SIGEV_THREAD, function=ctypes.cast(entry, ctypes.c_void_p).value)
    timer = ctypes.c_void_p()
    assert libc.timer_create(1, ctypes.byref(event), ctypes.byref(timer)) == 0
    times = (ctypes.c_long * 4)(0, 0, 0, 100_000_000)
    assert libc.timer_settime(timer, 0, times, None) == 0
    print(await ch.recv())

gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("called\n", "")


@pytest.mark.outside_help
async def test_a_python_thread_may_still_send(wait_until):
    ch = Chan()
    gate = threading.Event()

    def thread():
        gate.wait(0.05)
        gopark.block(ch.send("from a thread"))

    t = threading.Thread(target=thread)
    t.start()
    assert await ch.recv() == "from a thread"
    gopark.cgo.call(t.join)


def test_a_callback_that_still_runs_keeps_a_strict_program_alive(run, cthread):
    async def main():
        ch, inside = Chan(), threading.Event()
        release = threading.Event()

        def callback(_):
            inside.set()
            release.wait(0.05)
            gopark.block(ch.send("from the callback"))

        thread = cthread(gopark.cgo.callback(callback))
        gopark.cgo.call(inside.wait, 30)
        value = await ch.recv()
        thread.join()
        return value

    assert run(main) == "from the callback"


def test_strict_deadlock_leaves_out_threads_and_callbacks(run, capsys):
    entry = gopark.cgo.callback(lambda: None)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()

    async def main():
        await Chan().recv()

    with pytest.raises(gopark.DeadlockError):
        run(main)
    stop.set()
    thread.join()
    assert entry is not None
    assert capsys.readouterr().err.startswith(ASLEEP)


def test_a_deadlock_of_some_goroutines_is_none_of_the_program(run):
    """Go reports only a program in which all are asleep."""

    async def main():
        for _ in range(3):
            gopark.go(Chan().recv)
        await wait_all_parked()
        return gopark.runtime.num_goroutine()

    assert run(main) == 4


def test_the_next_run_after_a_deadlock_is_clean(run, capsys):
    async def dead():
        await Chan().recv()

    async def fine():
        ch = Chan()
        gopark.go(ch.send, 1)
        return await ch.recv()

    for _ in range(3):
        with pytest.raises(gopark.DeadlockError):
            run(dead)
        assert run(fine) == 1
    assert capsys.readouterr().err.count(ASLEEP) == 3


async def test_a_goroutine_that_runs_on_without_a_p_is_no_deadlock():
    """gomaxprocs takes the Ps of plain goroutines that block their threads; main then waits."""
    n = 3
    go_on = [threading.Event() for _ in range(n)]
    started, out = Chan(n), Chan()

    def plain(i):
        started.try_send(None)
        go_on[i].wait(120)
        gopark.block(out.send(i))

    def release(i):
        while "[chan receive]" not in gopark.runtime.stack(all=True).partition("\n\n")[0]:
            threading.Event().wait(0.001)
        go_on[i].set()

    before = gopark.runtime.gomaxprocs(n + 1)
    try:
        for i in range(n):
            gopark.go(plain, i)
            await started.recv()
        gopark.runtime.gomaxprocs(1)
        for i in range(n):  # all but one of them run without a P
            threading.Thread(target=release, args=(i,)).start()
            assert await out.recv() == i
    finally:
        gopark.runtime.gomaxprocs(before)


# --- threads that are not ours ------------------------------------------------------------------


def _started(how, ch):
    """A thread that sends a little later, in one of the ways there are."""

    def later():
        threading.Event().wait(0.1)
        assert ch.try_send("help")

    if how == "raw":
        _thread.start_new_thread(later, ())
    else:
        threading.Thread(target=later).start()


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("how", ["raw", "threading"])
@pytest.mark.parametrize("plain", [False, True])
def test_a_thread_that_was_just_started_is_help(run, how, plain):
    """It may not have run a line of Python yet when main goes to sleep."""

    async def main():
        ch = Chan(1)
        _started(how, ch)
        return await ch.recv()

    for _ in range(3):
        assert run((lambda: gopark.block(main())) if plain else main, outside_help=True) == "help"


def test_a_thread_of_c_is_help_between_two_calls(child):
    """It calls in by a callback that nobody wrapped; Python knows of it only while it is inside."""
    result = child(
        """
import ctypes, gopark
libc = ctypes.CDLL(None)
libc.pthread_create.argtypes = (ctypes.c_void_p,) * 4
START = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
ch, thread = gopark.Chan(4), ctypes.c_ulong()
# usleep(300000) on a thread of C's, then the destructor that the first call has registered.
hook = libc.__cxa_thread_atexit_impl
hook.argtypes = (ctypes.c_void_p,) * 3
inside = ctypes.cast(libc.free, ctypes.c_void_p)

@START
def second(_):
    ch.try_send(2)

@START
def first(_):
    ch.try_send(1)
    hook(ctypes.cast(second, ctypes.c_void_p), None, inside)
    hook(ctypes.cast(libc.usleep, ctypes.c_void_p), 300_000, inside)

async def main():
    assert libc.pthread_create(ctypes.byref(thread), None, first, None) == 0
    print(await ch.recv(), await ch.recv())

gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("1 2\n", "")


@pytest.mark.parametrize("strict", [False, True])
def test_a_thread_of_c_that_has_ended_is_no_help_any_more(child, strict):
    result = child(
        f"""
import ctypes, gopark
libc = ctypes.CDLL(None)
libc.pthread_create.argtypes = (ctypes.c_void_p,) * 4
gopark.debug.strict_deadlock({strict})

async def main():
    thread = ctypes.c_ulong()
    assert libc.pthread_create(ctypes.byref(thread), None, libc.usleep, 300_000) == 0
    await gopark.Chan().recv()

gopark.run(main)
"""
    )
    assert result.stderr.startswith(ASLEEP + "\ngoroutine 1 [chan receive]:\n")
    assert result.returncode == 2


DEAD = """
import sys, threading, time
import gopark
from gopark import Chan, block

def waits():
    block(Chan().recv())

def computes():
    async def body():
        time.sleep(0.2)
    block(body())

def calls_c():
    async def body():
        gopark.cgo.call(time.sleep, 0.2)
    block(body())

def goes_its_way():
    block(gopark.gosched())
    time.sleep(0.2)

async def main():
    threading.Thread(target=globals()[sys.argv[1]], daemon=True).start()
    if sys.argv[2] == "plain":
        gopark.go(waits)
    await Chan().recv()

gopark.run(main)
"""


@pytest.mark.parametrize("thread", ["waits", "computes", "calls_c", "goes_its_way"])
@pytest.mark.parametrize("last", ["main", "plain"])
def test_a_thread_in_block_is_a_goroutine_and_one_that_ends_is_no_help(child, thread, last):
    """Whoever went to sleep last, and whatever the thread was at then, somebody asks again."""
    result = child(DEAD, thread, last)
    assert result.stderr.startswith(ASLEEP + "\ngoroutine 1 [chan receive]:\n")
    headers = [line for line in result.stderr.split("\n") if line.startswith("goroutine ")]
    assert len(headers) == 1 + (thread == "waits") + (last == "plain")
    assert result.returncode == 2


def test_without_other_threads_a_deadlock_is_reported_without_delay(run, capsys):
    """Threads of ours that have just begun, or end, are not taken for others for long.

    The best of some: on a busy machine any thread may get no turn for a while.
    """

    async def main():
        await Chan().recv()

    gopark.debug.strict_deadlock(False)
    if any(t is not threading.main_thread() for t in threading.enumerate()):
        pytest.skip("this process has threads of others")
    took = []
    while not took or (min(took) >= 2.0 and len(took) < 10):
        began = time.monotonic()
        with pytest.raises(gopark.DeadlockError):
            run(main, outside_help=True)
        took.append(time.monotonic() - began)
        assert capsys.readouterr().err.startswith(ASLEEP)
    assert min(took) < 2.0


@pytest.mark.parametrize("broken", ["listdir", "namespace"])
def test_where_the_kernel_does_not_say_pythons_threads_count(run, monkeypatch, broken, capsys):
    """No /proc, or no descriptor to read it by; a deadlock is found all the same."""

    def listdir(path):
        if broken == "listdir":
            raise OSError(24, "Too many open files")
        return ["1"]

    monkeypatch.setattr(deadlock.os, "listdir", listdir)

    async def helped():
        ch = Chan(1)
        _started("threading", ch)
        return await ch.recv()

    assert run(helped, outside_help=True) == "help"
    capsys.readouterr()


def test_threads_are_not_listed_anew_at_each_wait(monkeypatch):
    looks = []
    strangers = deadlock._strangers

    def look(*args):
        looks.append(None)
        return strangers(*args)

    monkeypatch.setattr(deadlock, "_strangers", look)
    monkeypatch.setattr(deadlock, "_until", 0.0)
    monkeypatch.setattr(deadlock, "time", SimpleNamespace(monotonic=lambda: 7.0))

    async def main():
        with ThreadPoolExecutor(1) as pool:
            for _ in range(100):
                await gopark.future.wait(pool.submit(time.sleep, 0.001))

    gopark.run(main)
    assert len(looks) < 20
