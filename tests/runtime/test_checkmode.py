"""The checks of GOPARKDEBUG=checksched=1: a sound program passes, a broken one is named.

Programs that break an invariant on purpose run as children, since the process ends. The
accounts are also looked at here, on a `Sched` of their own.
"""

from __future__ import annotations

import re
import textwrap

import pytest

from gopark._runtime.base import lockrank
from gopark._runtime.base.errors import Throw
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.runtime2 import (
    GDEAD,
    GIDLE,
    GRUNNABLE,
    GRUNNING,
    GSYSCALL,
    GWAITING,
    TRANSITIONS,
    G,
    M,
    P,
    Sched,
    allgs,
)
from gopark._runtime.check import checkmode
from gopark._runtime.sched.startm import givep
from gopark._runtime.sched.timer import Timer, Timers

PRELUDE = """
import ctypes, os, threading
import gopark
from gopark import Chan, recv, select, send
from gopark._runtime.sched import lockedm, startm
from gopark._runtime.base.runtime2 import GRUNNABLE, GWAITING, allgs, getg, tls

def other():
    me = getg()
    return next(g for g in allgs if g is not me)
"""


@pytest.fixture
def checked(child):
    """Run a program in a child that checks everything."""

    def checked(program, **env):
        text = PRELUDE + textwrap.dedent(program)
        return child(text, GOPARKDEBUG="checksched=1,lockrank=1", **env)

    return checked


# --- sound programs ----------------------------------------------------------------------


def test_a_generator_that_main_has_left_open_is_no_offence(checked):
    """The end of the program closes it in a goroutine that was never on a queue."""
    ended = checked(
        """
        kept = []

        async def numbers():
            yield 1

        async def main():
            kept.append(numbers())
            async for _ in kept[0]:
                break

        gopark.run(main)
        print("fine")
        """
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "fine\n", "")


@pytest.mark.parametrize("procs", ["1", "4"])
def test_a_program_that_uses_everything_breaks_no_invariant(checked, procs):
    result = checked(
        """
        from gopark._runtime.base.hooks import births
        print("checked" if "checkmode" in str(births[0].__module__) else "not checked")
        libc = ctypes.CDLL(None)

        async def worker(a, b, done):
            for n in range(30):
                await select(recv(a), send(b, n), recv(gopark.time.after(0.0005)))
                await gopark.gosched()
                await select(recv(a), send(b, n), default=True)
            await done.send(None)

        async def locked(done):
            gopark.runtime.lock_os_thread()
            for _ in range(5):
                await gopark.time.sleep(0.0002)
                await gopark.gosched()
            gopark.runtime.unlock_os_thread()
            await done.send(None)

        def plain(done):
            gopark.cgo.call(libc.usleep, 100)
            gopark.block(gopark.time.sleep(0.001))
            gopark.block(gopark.gosched())
            gopark.block(done.send(None))

        async def ends(done):
            try:
                gopark.goexit()
            finally:
                gopark.go(done.send, None)

        async def agen():
            try:
                while True:
                    yield 1
            finally:
                await gopark.gosched()

        @gopark.cgo.export(ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p))
        def from_c(_):
            gopark.block(gopark.time.sleep(0.0005))
            gopark.block(gopark.gosched())
            gopark.block(DONE[0].send(None))

        DONE = []

        def asyncio_within(done):
            import asyncio
            asyncio.run(asyncio.sleep(0))
            gopark.block(done.send(None))

        async def main(leave_some):
            a, b, done = Chan(), Chan(1), Chan()
            DONE[:] = [done]
            for _ in range(5):
                gopark.go(worker, a, b, done)
                gopark.go(worker, b, a, done)
                gopark.go(plain, done)
                gopark.go(locked, done)
                gopark.go(ends, done)
            gopark.go(asyncio_within, done)
            tid = ctypes.c_ulong()
            libc.pthread_create(ctypes.byref(tid), None, from_c, None)
            gopark.runtime.gomaxprocs(4)
            async for _ in agen():
                break
            for _ in range(10 if leave_some else 27):
                await done.recv()
                gopark.runtime.stack(all=True)
            gopark.runtime.gomaxprocs(2)
            if not leave_some:
                gopark.cgo.call(libc.pthread_join, tid, None)

        for n in range(4):
            gopark.run(main, n < 3)
        print("OK")
        """,
        GOMAXPROCS=procs,
    )
    assert (result.stdout, result.stderr) == ("checked\nOK\n", "")


def test_a_child_of_fork_is_checked_as_well(checked):
    result = checked(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: there are several threads

        async def quick():
            await gopark.gosched()

        async def main():
            pid = os.fork()
            if pid:
                return os.waitpid(pid, 0)[1]
            os._exit(7)

        print(os.waitstatus_to_exitcode(gopark.run(main)))
        pid = os.fork()
        if not pid:
            gopark.run(quick)
            os._exit(8)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
    )
    assert (result.stdout, result.stderr) == ("7\n8\n", "")


def test_without_the_variable_nothing_is_loaded(child):
    program = "import gopark, sys\nprint('gopark._runtime.check.checkmode' in sys.modules)"
    assert child(program, GOPARKDEBUG="").stdout == "False\n"
    assert child(program, GOPARKDEBUG="checksched=0").stdout == "False\n"
    assert child(program, GOPARKDEBUG="lockrank=1,checksched=1").stdout == "True\n"


# --- steps that go wrong -----------------------------------------------------------------

SABOTAGE = {
    "two run queues": (
        """
        async def main():
            gopark.runtime.gomaxprocs(1)  # else two Ms may take it at the same time
            ch = Chan()
            gopark.go(ch.recv)
            await gopark.testing.wait_all_parked()
            g = other()
            ch.unwait(g)
            g.status = GRUNNABLE
            startm.current().runq.extend([g, g])
            await Chan().recv()
        """,
        r"goroutine 2 is running, .*S2 it is to run, and is in a run queue",
    ),
    "made ready while it is on a wait queue": (
        """
        from gopark._runtime.sched.runq import ready

        async def main():
            ch = Chan()
            gopark.go(ch.recv)
            await gopark.testing.wait_all_parked()
            ready(other())
        """,
        r"goroutine 2 is waiting, .*G2 runnable, and on a wait queue",
    ),
    "made ready while it is in a select": (
        """
        from gopark._runtime.sched.runq import ready

        async def main():
            gopark.go(gopark.select, recv(Chan()), send(Chan(), 1))
            await gopark.testing.wait_all_parked()
            ready(other())
        """,
        r"goroutine 2 is waiting, .*G2 runnable, and on a wait queue",
    ),
    "made ready while it sleeps": (
        """
        from gopark._runtime.sched.runq import ready

        async def main():
            gopark.go(gopark.time.sleep, 60)
            await gopark.testing.wait_all_parked()
            ready(other())
        """,
        r"goroutine 2 is waiting, .*G2 runnable, and on a wait queue",
    ),
    "an illegal move": (
        """
        async def main():
            gopark.go(gopark.gosched)
            other().status = GWAITING
        """,
        r"goroutine 2 is runnable, .*G1 illegal move runnable -> waiting",
    ),
    "a lost context": (
        """
        async def main():
            getg().ctx = None
            await gopark.gosched()
        """,
        r"goroutine 1 is running, .*A1 it has another context than before",
    ),
    "parked on nothing": (
        """
        from gopark._runtime.base.runtime2 import park_point

        async def main():
            tls.m.waitunlockf = print
            await park_point
        """,
        r"goroutine 1 is running, .*A2 it asked to park: True",
    ),
    "parked with the waker locked out": (
        """
        from gopark._runtime.base.runtime2 import Waiter, park_point

        async def main():
            getg().waiting = Waiter()
            await park_point
        """,
        r"goroutine 1 is running, .*A2 it parks, and nothing lets the waker in",
    ),
    "parked on its thread with the waker locked out": (
        """
        from gopark._runtime.base.runtime2 import Waiter, park_point

        async def forget():
            getg().waiting = Waiter()
            tls.m.waitunlockf = None
            await park_point

        def main():
            gopark.block(forget())
        """,
        r"goroutine 1 is running, .*A2 it parks, and nothing lets the waker in",
    ),
    "an unlock too many": (
        """
        async def main():
            gopark.runtime.lock_os_thread()
            getg().lockedcnt -= 1
            await gopark.gosched()
        """,
        r"goroutine 1 is running, .*A3 lockedcnt is 0, and lockedg <G 1 running>",
    ),
    "not listed": (
        """
        async def main():
            allgs.discard(getg())
            await gopark.gosched()
        """,
        r"goroutine 1 is running, .*S1 it is to run, and is not listed",
    ),
    "a lock is kept": (
        """
        async def main():
            ch = Chan()
            ch._lock.pop()
            gopark.go(gopark.gosched)
            await gopark.gosched()
        """,
        r"S6 it runs a G, and holds .*CHAN",
    ),
    "called dead with work left": (
        """
        from gopark._runtime.check import checkmode

        async def main():
            gopark.go(gopark.gosched)
            checkmode._plain_checkdead = lambda sched: "all goroutines are asleep"
            with (sched := startm.current()).lock:
                startm.hooks.checkdead(sched)
        """,
        r"D1 the program is called dead: all goroutines are asleep",
    ),
    "a P is idle and in use": (
        """
        async def main():
            p = tls.m.p
            sched = startm.current()
            with sched.lock:
                sched.pidle.append(p)
                sched.npidle += 1
                p.m = None
            await gopark.gosched()
        """,
        r"P2 .*<P 0>.* with another as well",
    ),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_a_broken_invariant_ends_the_process_and_is_named(checked, name):
    program, message = SABOTAGE[name]
    result = checked(textwrap.dedent(program) + "\ngopark.run(main)\n", GOMAXPROCS="1")
    assert result.returncode == 2, result.stderr
    first = result.stderr.splitlines()[0]
    assert first.startswith("fatal error: Throw: checksched: ")
    assert re.search(message, first), first


def test_two_threads_in_one_coroutine_are_caught_before_the_second_comes_in(checked):
    """On a free-threaded build the interpreter would crash."""
    result = checked(
        """
        from gopark._runtime.base.runtime2 import GRUNNING, M

        def second(g):
            m = tls.m = M(startm.current())
            m.ident = threading.get_ident()
            m.curg, g.m = g, m
            g.ctx.run(next, g.step)

        async def main():
            thread = threading.Thread(target=second, args=(getg(),))
            thread.start()
            thread.join()

        gopark.run(main)
        """
    )
    assert result.returncode == 2, result.stderr
    assert re.search(r"S3 <M \d+> is in its coroutine", result.stderr.splitlines()[0])


# --- moves, one by one -------------------------------------------------------------------


class CheckedG(G):
    __slots__ = ()
    status = checkmode.checkedstatus(G.__dict__["status"])


@pytest.fixture
def throws(monkeypatch):
    """A broken invariant raises, and the process goes on."""
    monkeypatch.setattr(hooks, "throw", lambda exc: None)


@pytest.fixture
def g():
    g = CheckedG(7)
    yield g
    allgs.discard(g)


PATHS = {
    GIDLE: [],
    GRUNNABLE: [GRUNNABLE],
    GRUNNING: [GRUNNABLE, GRUNNING],
    GSYSCALL: [GRUNNABLE, GRUNNING, GSYSCALL],
    GWAITING: [GRUNNABLE, GRUNNING, GWAITING],
    GDEAD: [GDEAD],
}


@pytest.mark.usefixtures("throws")
@pytest.mark.parametrize("old", TRANSITIONS)
@pytest.mark.parametrize("new", TRANSITIONS)
def test_the_moves_of_the_table_are_made_and_no_others(g, old, new):
    timer = Timer(Timers(lambda: None), 0.0, print, None)
    g.waiting = timer
    for status in PATHS[old]:
        g.status = status
    if new in TRANSITIONS[old] or (new is old and old in (GIDLE, GRUNNING)):
        g.status = new
        assert g.status is new
    else:
        with pytest.raises(Throw, match=f"goroutine 7 is {old}.*illegal move {old} -> {new}"):
            g.status = new
        assert g.status is old


@pytest.mark.usefixtures("throws")
def test_a_callback_of_a_bound_thread_goes_from_dead_to_running(g):
    m = M(None)
    g.status = GDEAD
    m.g, g.m = g, m
    g.status = GRUNNING
    assert g.status is GRUNNING


@pytest.mark.usefixtures("throws")
def test_a_listed_goroutine_does_not_die(g):
    g.status = GRUNNABLE
    allgs.add(g)
    with pytest.raises(Throw, match="G4"):
        g.status = GDEAD


# --- accounts ----------------------------------------------------------------------------


@pytest.fixture
def sched():
    sched = Sched(3)
    sched.timers = Timers(lambda: None)
    for _ in range(2):
        m = M(sched)
        sched.allm.append(m)
    busy = sched.allm[0]
    busy.p = sched.pidle.pop()
    busy.p.m = busy
    sched.npidle -= 1
    sched.midle.append(sched.allm[1])
    sched.allm[1].idle = True
    return sched


def test_accounts_that_are_in_order_pass(sched):
    checkmode.accounts(sched)
    sched.nmspinning = 1  # wakep, before the new M is listed
    checkmode.accounts(sched)
    sched.allm[0].spinning = True
    checkmode.accounts(sched)
    sched.pollm = sched.allm[1]
    checkmode.accounts(sched)


def _npidle(sched):
    sched.npidle = 1


def _idletwice(sched):
    sched.pidle[0] = sched.pidle[1]


def _idlegone(sched):
    sched.pidle[0] = P(0, sched)


def _idlewithm(sched):
    sched.pidle[0].m = sched.allm[0]


def _twop(sched):
    givep(sched.allm[0], sched.allm[0].p)
    sched.allm.append(M(sched))
    sched.allm[2].nextp = sched.allm[0].p


def _nmspinning(sched):
    sched.nmspinning = 2


def _notspinning(sched):
    sched.allm[0].spinning = True


def _midletwice(sched):
    sched.midle *= 2


def _notidle(sched):
    sched.allm[1].idle = False


def _idlenotlisted(sched):
    sched.allm[0].idle = True


def _idlebusy(sched):
    sched.allm[1].curg = CheckedG(9)


def _pollm(sched):
    sched.pollm = sched.allm[0]


def _allp(sched):
    sched.allp.reverse()


def _nhogs(sched):
    sched.nhogs = 1


def _hogwithp(sched):
    sched.allm[0].hog = True
    sched.nhogs = 1


def _nsyscall(sched):
    sched.nsyscall = -1


@pytest.mark.usefixtures("throws")
@pytest.mark.parametrize(
    ("breakit", "rule"),
    [
        (_npidle, "P1 npidle is 1"),
        (_idletwice, "P1 .* are idle"),
        (_idlegone, "P1 <P 0> is idle, and gone"),
        (_idlewithm, "P1 <P 2> is idle, and <M .*> has it"),
        (_twop, "P2 .*<P 0>, <M"),
        (_nmspinning, "P3"),
        (_notspinning, "P3"),
        (_midletwice, "P4"),
        (_notidle, "P4"),
        (_idlenotlisted, "P4"),
        (_idlebusy, "P4 it is idle"),
        (_pollm, "P4 .* is the poller"),
        (_allp, "P5"),
        (_nhogs, "P5 nhogs is 1, and hogs are ."),
        (_hogwithp, "P5 it is a hog"),
        (_nsyscall, "P5 nsyscall is -1"),
    ],
)
def test_accounts_that_are_wrong_are_found(sched, breakit, rule):
    breakit(sched)
    with pytest.raises(Throw, match=rule):
        checkmode.accounts(sched)


@pytest.mark.usefixtures("throws")
def test_a_p_that_moves_while_its_place_is_looked_at_is_no_offence(sched, monkeypatch):
    p, looks = sched.allm[0].p, []

    def moving(sched):
        looks.append(None)
        return {(p, sched.allm[0])} if len(looks) < 3 else set()

    monkeypatch.setattr(checkmode, "heldtwice", moving)
    checkmode.accounts(sched)
    assert len(looks) == 3


def test_the_locks_that_a_thread_holds_are_those_of_lockrank():
    """S6 reads lockrank's own account."""
    assert lockrank._stack() == []


def test_what_a_task_starts_hears_of_its_own_context(checked):
    """It is made in other variables than those of the line that starts it."""
    ended = checked("""
import asyncio
import gopark.asyncio as ga
from gopark import context

async def waits():
    with context.scope(context.current()):
        await Chan().recv()

async def task():
    future = ga.go(waits)
    await asyncio.sleep(0)
    future.cancel()
    await asyncio.wait([future])
    print(future.cancelled())

gopark.run(ga.call, task())
""")
    assert (ended.stdout, ended.stderr) == ("True\n", "")
