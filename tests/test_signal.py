"""Signals on channels: who gets what, what stands when nobody listens, who may ask from where."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
from signal import SIGHUP, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, Signals

import pytest

import gopark
from gopark import Chan, block
from gopark.runtime import num_goroutine
from gopark.signal import ignore, ignored, notify, reset, stop

pytestmark = pytest.mark.usefixtures("handlers_as_before")


@pytest.fixture
def handlers_as_before():
    """Whatever a test does, after it each signal does what it did before.

    Where C has a handler, faulthandler's for SIGABRT, Python's table says None, and the default
    once it has been written: what counts is the kernel's.
    """

    def look():
        table = {n: signal.getsignal(n) or signal.SIG_DFL for n in signal.valid_signals()}
        return {n: (handler, getsig(n)) for n, handler in table.items()}

    getsig = ctypes.pythonapi.PyOS_getsig
    getsig.argtypes, getsig.restype = (ctypes.c_int,), ctypes.c_void_p

    gopark.run(int)  # what a wait without `run` had set before this test is gone after a run
    before = look()
    yield
    assert look() == before
    assert signal.set_wakeup_fd(-1) == -1


def kill(signum):
    os.kill(os.getpid(), signum)


# --- delivery ---------------------------------------------------------------------------------


async def test_a_channel_gets_its_signals_as_members_of_the_enumeration(procs):
    ch = Chan[Signals](1)
    notify(ch, SIGUSR1)
    kill(SIGUSR1)
    got = await ch.recv()
    assert got is Signals.SIGUSR1


async def test_each_channel_gets_its_own_copy_and_only_of_what_it_asked_for(procs):
    one, both = Chan(2), Chan(2)
    notify(one, SIGUSR1)
    notify(both, SIGUSR1, SIGUSR2)
    kill(SIGUSR1)
    assert (await one.recv(), await both.recv()) == (SIGUSR1, SIGUSR1)
    kill(SIGUSR2)
    assert await both.recv() == SIGUSR2
    stop(one)
    assert len(one) == 0


async def test_asking_again_adds_signals_and_delivers_none_twice():
    ch = Chan(9)
    notify(ch, SIGUSR1, SIGUSR1)
    notify(ch, SIGUSR1, SIGUSR2)
    kill(SIGUSR1)
    kill(SIGUSR2)
    stop(ch)
    assert sorted([await ch.recv() for _ in range(len(ch))]) == [SIGUSR1, SIGUSR2]


async def test_a_full_channel_holds_nobody_up():
    full, roomy = Chan(1), Chan(3)
    notify(full, SIGUSR1)
    notify(roomy, SIGUSR1)
    for _ in range(3):
        kill(SIGUSR1)
        await roomy.recv()
    stop(full)
    assert len(full) == 1


async def test_an_unbuffered_channel_gets_it_if_somebody_waits_there(procs):
    ch, told = Chan(), Chan()

    async def waits():
        await told.send(await ch.recv())

    notify(ch, SIGUSR1)
    gopark.go(waits)
    await gopark.testing.wait_all_parked()
    kill(SIGUSR1)
    assert await told.recv() == SIGUSR1
    kill(SIGUSR1)  # nobody waits: dropped
    stop(ch)
    assert ch.try_recv() == (None, False, False)


async def test_in_a_select_it_is_a_case_like_any_other():
    ch, other = Chan(1), Chan()
    notify(ch, SIGUSR1)
    kill(SIGUSR1)
    assert await gopark.select(gopark.recv(other), gopark.recv(ch)) == (1, SIGUSR1, True)


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="no real-time signals here")
async def test_a_real_time_signal_without_a_name_is_a_number():
    ch = Chan(1)
    notify(ch, signal.SIGRTMIN + 3)
    kill(signal.SIGRTMIN + 3)
    assert await ch.recv() == signal.SIGRTMIN + 3


async def test_with_no_signals_named_all_are_meant_that_can_be_caught():
    """And none is relayed that gopark itself has sent."""
    ch = Chan(1)
    notify(ch)
    for signum in (SIGHUP, SIGTERM, SIGWINCH, signal.SIGINT):
        kill(signum)
        assert await ch.recv() == signum
    reset()
    assert signal.getsignal(SIGHUP) is signal.SIG_DFL


async def test_a_signal_that_came_before_stop_is_there_after_it(procs):
    for _ in range(50):
        ch = Chan(1)
        notify(ch, SIGUSR1)
        kill(SIGUSR1)
        stop(ch)
        assert ch.try_recv() == (SIGUSR1, True, True)


async def test_what_cannot_be_caught_is_accepted_and_never_comes():
    ch = Chan(1)
    notify(ch, 0xDEAD, -1, 0, signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV)
    assert num_goroutine() == 1
    stop(ch)
    ignore(0xDEAD, signal.SIGKILL)
    reset(0xDEAD, signal.SIGKILL)
    assert not ignored(0xDEAD)


# --- what stands when nobody listens ----------------------------------------------------------


def on_main(program):
    """Run a plain main, which stays on the main thread, where alone handlers may be set."""

    def test(run):
        run(program)

    return test


@on_main
def test_with_the_last_listener_the_handler_comes_back_that_stood_before():
    seen = []

    def mine(signum, frame):
        seen.append(signum)

    before = signal.signal(SIGUSR1, mine)
    one, two = Chan(2), Chan(2)
    notify(one, SIGUSR1)
    notify(two, SIGUSR1)
    stop(one)
    kill(SIGUSR1)
    assert (block(two.recv()), seen) == (SIGUSR1, [])
    stop(two)
    assert signal.getsignal(SIGUSR1) is mine
    kill(SIGUSR1)
    assert (seen, len(two)) == ([SIGUSR1], 0)
    signal.signal(SIGUSR1, before)


@on_main
def test_after_ignore_and_reset_a_signal_goes_to_the_handler_or_to_the_next_listener():
    seen = []
    signal.signal(SIGHUP, lambda *_: seen.append(1))
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(60)  # the signal goroutine reads after all this
        for _ in range(20):
            ch = Chan(2)
            notify(ch, SIGHUP)
            ignore(SIGHUP)
            reset(SIGHUP)
            kill(SIGHUP)
            notify(ch, SIGHUP)
            stop(ch)
            assert (len(seen), len(ch)) == (1, 0)
            seen.clear()
    finally:
        sys.setswitchinterval(before)
        signal.signal(SIGHUP, signal.SIG_DFL)


@on_main
def test_a_handler_that_the_program_sets_meanwhile_stays():
    seen = []

    def mine(signum, frame):
        seen.append(signum)

    ch = Chan(1)
    notify(ch, SIGUSR1)
    signal.signal(SIGUSR1, mine)
    kill(SIGUSR1)
    assert (block(ch.recv()), seen) == (SIGUSR1, [SIGUSR1])
    stop(ch)
    assert signal.getsignal(SIGUSR1) is mine
    signal.signal(SIGUSR1, signal.SIG_DFL)


@on_main
def test_a_blocked_signal_is_let_in_while_somebody_listens():
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [SIGUSR1, SIGUSR2])
    ch = Chan(1)
    notify(ch, SIGUSR1)
    kill(SIGUSR1)
    assert block(ch.recv()) == SIGUSR1
    stop(ch)
    assert signal.pthread_sigmask(signal.SIG_SETMASK, mask) == {SIGUSR1, SIGUSR2}


def test_the_end_of_the_program_puts_all_back(run):
    async def main():
        notify(Chan(1), SIGHUP, signal.SIGINT)
        ignore(SIGUSR1)
        assert ignored(SIGUSR1)

    for _ in range(3):
        run(main)
        assert signal.getsignal(SIGHUP) is signal.SIG_DFL
        assert signal.getsignal(SIGUSR1) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGURG) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ended_program_waits_for_nobody(run):
    """The signal goroutine is gone, with its thread, when `run` returns."""

    async def main():
        notify(Chan(1), SIGHUP)
        await gopark.testing.wait_all_parked()
        names.extend(t for t in threading.enumerate() if t.name.startswith("gopark-M"))

    names: list[threading.Thread] = []
    run(main)
    assert names
    for thread in names:
        thread.join(120)
        assert not thread.is_alive()


async def test_ignored_signals_do_nothing_until_reset():
    ch = Chan(1)
    notify(ch, SIGHUP, SIGWINCH)
    ignore(SIGHUP)
    assert ignored(SIGHUP)
    kill(SIGHUP)
    kill(SIGWINCH)
    assert await ch.recv() == SIGWINCH
    notify(ch, SIGHUP)
    assert not ignored(SIGHUP)
    kill(SIGHUP)
    assert await ch.recv() == SIGHUP
    ignore(SIGHUP)
    reset(SIGHUP)
    assert (ignored(SIGHUP), signal.getsignal(SIGHUP)) == (False, signal.SIG_DFL)


async def test_the_signal_that_gopark_itself_uses_may_be_asked_for_and_ignored():
    ch = Chan(1)
    notify(ch, signal.SIGURG)
    kill(signal.SIGURG)
    assert await ch.recv() == signal.SIGURG
    ignore(signal.SIGURG)
    assert ignored(signal.SIGURG)
    other = Chan(1)
    thread = threading.Thread(target=notify, args=(other, SIGUSR1))  # still reaches main
    thread.start()
    while thread.is_alive():
        await gopark.gosched()
    kill(SIGUSR1)
    assert await other.recv() == SIGUSR1
    reset(signal.SIGURG)
    assert not ignored(signal.SIGURG)


def test_a_wake_up_descriptor_that_stood_before_gets_the_signals_as_well(run):
    r, w = os.pipe()
    os.set_blocking(w, False)
    before = signal.set_wakeup_fd(w)

    async def main():
        ch = Chan(1)
        notify(ch, SIGUSR1)
        kill(SIGUSR1)
        await ch.recv()
        stop(ch)

    try:
        run(main)
        assert signal.set_wakeup_fd(w) == w
        assert SIGUSR1 in os.read(r, 100)
    finally:
        signal.set_wakeup_fd(before)
        os.close(r)
        os.close(w)


# --- from any thread, wherever main is ---------------------------------------------------------


def _reading(fd):
    os.read(fd, 1)


def _selecting(fd):
    select.select([fd], [], [])


def _in_c(fd):
    gopark.cgo.call(os.read, fd, 1)


def _computing(fd):
    os.set_blocking(fd, False)
    while not select.select([fd], [], [], 0)[0]:
        sum(range(100))


def _blocking(fd):
    ch = Chan()
    gopark.go(lambda: block(ch.send(os.read(fd, 1))))
    block(ch.recv())


def _sleeping(fd):
    block(_asleep(fd))


async def _asleep(fd):
    os.set_blocking(fd, False)
    while not select.select([fd], [], [], 0)[0]:
        await gopark.time.sleep(0.005)


def _joining(fd):
    thread = threading.Thread(target=_reading, args=(fd,))
    thread.start()
    thread.join()


MAINS = (_reading, _selecting, _in_c, _computing, _blocking, _sleeping, _joining)


@pytest.mark.parametrize("main", MAINS, ids=lambda main: main.__name__)
@pytest.mark.parametrize("kind", ["goroutine", "coroutine", "thread"])
def test_any_thread_may_ask_wherever_main_is(run, main, kind):
    r, w = os.pipe()
    seen = []

    def asks():
        before = signal.signal if threading.current_thread() is threading.main_thread() else None
        ch = Chan(1)
        try:
            for _ in range(3):
                notify(ch, SIGUSR1)
                kill(SIGUSR1)
                seen.append(block(ch.recv()))
                stop(ch)
                seen.append(signal.getsignal(SIGUSR1))
                ignore(SIGUSR1)
                seen.append(ignored(SIGUSR1))
                reset(SIGUSR1)
            seen.append(before)
        finally:
            os.write(w, b".")

    async def asks_async():
        asks()

    def program():
        if kind == "thread":
            thread = threading.Thread(target=asks)
            thread.start()
            main(r)
            thread.join()
        else:
            gopark.go(asks if kind == "goroutine" else asks_async)
            main(r)

    try:
        run(program, outside_help=True)
    finally:
        os.close(r)
        os.close(w)
    assert seen == [SIGUSR1, signal.SIG_DFL, True] * 3 + seen[-1:]


async def test_many_ask_at_once(procs):
    done = Chan()

    def listener(n):
        signum = (SIGUSR1, SIGUSR2, SIGHUP)[n % 3]
        for _ in range(10):
            ch = Chan(1)
            notify(ch, signum)
            kill(signum)
            assert block(ch.recv()) == signum
            stop(ch)
        block(done.send(n))

    for n in range(6):
        gopark.go(listener, n)
    assert sorted([await done.recv() for _ in range(6)]) == list(range(6))
    assert signal.getsignal(SIGHUP) is signal.SIG_DFL


def test_a_handler_for_the_signal_we_use_is_called_too_if_it_stood_before(run):
    seen = []
    before = signal.signal(signal.SIGURG, lambda signum, frame: seen.append(signum))

    try:
        run(lambda: kill(signal.SIGURG))
        assert seen == [signal.SIGURG]
        kill(signal.SIGURG)
        assert seen == [signal.SIGURG] * 2
    finally:
        signal.signal(signal.SIGURG, before)


def test_a_handler_that_the_program_sets_for_it_later_is_in_the_way_and_said_so(run):
    errors = []

    def asks():
        with pytest.raises(RuntimeError, match="SIGURG") as caught:
            notify(Chan(1), SIGUSR1)
        errors.append(caught)

    def main():
        signal.signal(signal.SIGURG, lambda *_: None)
        ch = Chan(1)
        notify(ch, SIGUSR2)  # the main thread itself can do without
        thread = threading.Thread(target=asks)
        thread.start()
        thread.join()
        kill(SIGUSR2)
        assert block(ch.recv()) == SIGUSR2

    run(main)
    signal.signal(signal.SIGURG, signal.SIG_DFL)
    assert errors


# --- mistakes ---------------------------------------------------------------------------------


async def test_mistakes_are_told_where_they_are_made():
    with pytest.raises(TypeError, match=r"^os/signal: Notify using nil channel"):
        notify(None, SIGHUP)
    with pytest.raises(TypeError, match="needs a channel, got 1"):
        notify(1, SIGHUP)
    with pytest.raises(TypeError, match="needs a channel"):
        stop([])
    with pytest.raises(TypeError, match=r"notify\(\) needs signal numbers, got 'SIGHUP'"):
        notify(Chan(1), "SIGHUP")
    with pytest.raises(TypeError, match="got True"):
        ignore(True)
    with pytest.raises(TypeError, match="got None"):
        ignored(None)
    with pytest.raises(TypeError, match=r"got 1\.0"):
        reset(1.0)


@pytest.mark.parametrize("call", [ignore, reset, lambda n: notify(Chan(1), n)])
def test_without_a_program_there_is_nobody_to_tell(call):
    with pytest.raises(RuntimeError, match=r"gopark\.run is not active.*main thread"):
        call(SIGHUP)
    assert ignored(SIGHUP) is False
    stop(Chan(1))


def test_a_program_in_another_thread_cannot_listen(run):
    async def main():
        with pytest.raises(RuntimeError, match="is active in thread 'elsewhere'"):
            notify(Chan(1), SIGHUP)
        stop(Chan(1))
        return "told"

    told = []
    thread = threading.Thread(
        target=lambda: told.append(run(main, outside_help=True)), name="elsewhere"
    )
    thread.start()
    thread.join()
    assert told == ["told"]


async def test_the_signal_goroutine_is_counted_and_shown_as_in_go():
    ch = Chan(1)
    assert num_goroutine() == 1
    notify(ch, SIGHUP)
    await gopark.testing.wait_all_parked()
    assert num_goroutine() == 2
    dump = gopark.runtime.stack(all=True)
    _, _, other = dump.partition("\n\n")
    lines = other.splitlines()
    assert lines[0].endswith(" [syscall]:")
    assert lines[1] == "gopark.signal.loop(...)"
    assert lines[3] == "created by gopark.signal.notify in goroutine 1"
    notify(Chan(1), SIGHUP)
    assert num_goroutine() == 2
