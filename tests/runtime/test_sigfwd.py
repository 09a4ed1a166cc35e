"""Python's own signal handlers beside a program: called at safe points, raised in main."""

from __future__ import annotations

import signal
import sys

import pytest

from gopark._runtime.signal import sigfwd, signal_unix

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")

PRELUDE = """
import asyncio, faulthandler, os, signal, sys, threading, time
import gopark
from gopark import Chan, block, context, recv, select
faulthandler.dump_traceback_later(40, exit=True)
def kill(n=signal.SIGUSR1):
    os.kill(os.getpid(), n)
"""


def test_handlers_are_the_programs_own_to_whoever_asks(child):
    """During `run` too, however they were set; and the table is as it was before after it."""
    result = child(
        PRELUDE
        + """
def mine(*_): ...
def other(*_): ...
signal.signal(signal.SIGUSR1, mine)
functions = signal.signal, signal.getsignal, signal.set_wakeup_fd
async def main():
    print(signal.getsignal(signal.SIGUSR1) is mine)
    print(signal.signal(signal.SIGUSR1, other) is mine)
    print(signal.getsignal(signal.SIGUSR1) is other)
    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    print(signal.signal(signal.SIGUSR2, signal.SIG_IGN) is signal.SIG_DFL)
gopark.run(main)
print(functions == (signal.signal, signal.getsignal, signal.set_wakeup_fd))
print(signal.getsignal(signal.SIGUSR1) is other, signal.getsignal(signal.SIGUSR2).name)
"""
    )
    assert (result.stdout, result.stderr) == ("True\n" * 6 + "True SIG_IGN\n", "")


@pytest.mark.parametrize("bad", ["0, print", "'x', print", "1, 'x'", "9, print"])
def test_a_mistake_is_pythons_own_error(child, bad):
    result = child(
        PRELUDE
        + f"""
def outcome():
    try:
        signal.signal({bad})
    except Exception as exc:
        return type(exc).__name__, str(exc)
before = outcome()
print(gopark.run(outcome) == before, before is not None)
"""
    )
    assert (result.stdout, result.stderr) == ("True True\n", "")


WHERE = {
    "parked": "await stop.recv()",
    "blocked": "block(stop.recv())",
    "selecting": "await select(recv(stop), recv(Chan()))",
    "asleep": "time.sleep(30) if not stop_seen() else None",
    "computing": "while not stop_seen(): pass",
    "yielding": "while not stop_seen(): await gopark.gosched()",
}


@pytest.mark.parametrize("where", WHERE)
def test_a_handler_may_wake_main_wherever_it_is(child, where):
    """And that main waits for what a handler will do is no deadlock."""
    result = child(
        PRELUDE
        + f"""
stop = Chan()
def handler(*_):
    stop.close()
    if {where!r} == "asleep":
        raise InterruptedError
def stop_seen():
    return stop.try_recv()[2]
signal.signal(signal.SIGUSR1, handler)
async def main():
    threading.Timer(0.05, kill).start()
    try:
        {WHERE[where]}
    except InterruptedError:
        print("raised")
    print("woken", stop.try_recv())
gopark.run(main)
"""
    )
    raised = "raised\n" if where == "asleep" else ""
    assert (result.stdout, result.stderr) == (f"{raised}woken (None, False, True)\n", "")


def test_a_handler_may_wait_and_take_locks(child):
    """On the thread of a main that waits itself, while others need the only P."""
    result = child(
        PRELUDE
        + """
mu, done, handled = gopark.sync.Mutex(), Chan(), 0
def handler(*_):
    global handled
    with mu:
        handled += 1
    block(done.recv())
async def worker(ch):
    for i in range(200):
        async with mu:
            await gopark.gosched()
            if i % 10 == 0:
                gopark.go(done.send, 1)
                kill()
        await ch.send(i)
    ch.close()
def main():
    ch = Chan()
    gopark.go(worker, ch)
    print(sum(1 for _ in ch), handled)
signal.signal(signal.SIGUSR1, handler)
gopark.runtime.gomaxprocs(1)
gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("200 20\n", "")


def test_what_a_handler_raises_is_raised_in_main_and_nowhere_else(child):
    """Whoever the main thread runs just then: a timeout by SIGALRM ends the block it is for."""
    result = child(
        PRELUDE
        + """
class Late(Exception): ...
def late(*_):
    raise Late
async def busy():
    while True:
        await gopark.gosched()
async def main():
    for _ in range(3):
        gopark.go(busy)
    for wait in (gopark.time.sleep, lambda s: Chan().recv(), lambda s: select()):
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        try:
            await wait(30)
        except Late as exc:
            print("late", exc.args)
signal.signal(signal.SIGALRM, late)
gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("late ()\n" * 3, "")


def test_what_comes_as_the_program_ends_is_raised_by_run(child):
    result = child(
        PRELUDE
        + """
class Late(Exception): ...
def late(*_):
    raise Late
signal.signal(signal.SIGUSR1, late)
from gopark._runtime.main import rt0
end = rt0._end
def slowend(*args):
    kill()
    time.sleep(0)
    end(*args)
rt0._end = slowend
try:
    gopark.run(gopark.gosched)
except Late:
    print("late")
rt0._end = end
print(gopark.run(gopark.gosched))
"""
    )
    assert (result.stdout, result.stderr) == ("late\nNone\n", "")


def test_what_main_raises_and_all_that_comes_after_it_is_one_chain(child):
    result = child(
        PRELUDE
        + """
class Late(Exception): ...
def late(signum, frame):
    raise Late(signal.Signals(signum).name)
for signum in (signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(signum, late)
from gopark._runtime.main import rt0
end = rt0._end
def slowend(*args):
    for signum in (signal.SIGUSR1, signal.SIGUSR2):
        os.kill(os.getpid(), signum)
        time.sleep(0)
    end(*args)
rt0._end = slowend
async def main():
    raise ValueError("main")
try:
    gopark.run(main)
except Late as exc:
    while exc is not None:
        print(exc)
        exc = exc.__context__
"""
    )
    assert (result.stdout, result.stderr) == ("SIGUSR2\nSIGUSR1\nmain\n", "")


def test_nothing_is_lost_that_two_handlers_raise_at_any_two_calls_of_the_end(child):
    """The first as `run` ends its program, the second at a call after that, whoever has it then."""
    result = child(
        PRELUDE
        + """
from gopark._runtime.signal import signal_unix
class Late(Exception): ...
raised = []
def late(*_):
    raised.append(Late(len(raised)))
    raise raised[-1]
signal.signal(signal.SIGUSR1, late)
signal.signal(signal.SIGUSR2, late)
def chain(exc):
    while exc is not None:
        yield exc
        exc = exc.__context__
outcomes = set()
for nth in range(1, 1000):
    seen = 0
    def hook(frame, event, arg):
        global seen
        if event != "call" or "gopark" not in frame.f_code.co_filename:
            return
        if seen or frame.f_code is signal_unix.endsig.__code__:
            seen += 1
            if seen == 1:
                signal.raise_signal(signal.SIGUSR1)
            if seen == nth + 1:
                sys.setprofile(None)
                signal.raise_signal(signal.SIGUSR2)
    raised.clear()
    got = []
    sys.setprofile(hook)
    try:
        gopark.run(gopark.gosched)
    except Late as exc:
        got = list(chain(exc))
    sys.setprofile(None)
    assert set(got) == set(raised) and len(got) == len(raised), (nth, got, raised)
    outcomes.add(len(got))
    assert signal.signal.__module__ == "signal", nth
    for signum, handler in ((signal.SIGUSR1, late), (signal.SIGINT, signal.default_int_handler)):
        assert signal.getsignal(signum) is handler, nth
    gopark.run(gopark.gosched)  # owes nobody anything
    if seen <= nth:
        break
print(sorted(outcomes))
"""
    )
    assert (result.stdout, result.stderr) == ("[1, 2]\n", "")


def test_an_interrupt_at_each_call_of_the_beginning_and_the_end(child):
    """`run` gives up or goes on; the next one is as if nothing had been."""
    result = child(
        PRELUDE
        + """
class Late(Exception): ...
def late(*_):
    raise Late
signal.signal(signal.SIGUSR1, late)
async def main():
    await gopark.gosched()
    return "ran"
gopark.run(main)
outcomes = set()
for signum in (signal.SIGINT, signal.SIGUSR1):
    for nth in range(1, 1000):
        seen = 0
        def hook(frame, event, arg):
            global seen
            if event == "call" and "gopark" in frame.f_code.co_filename:
                seen += 1
                if seen == nth:
                    sys.setprofile(None)
                    signal.raise_signal(signum)
        sys.setprofile(hook)
        try:
            outcomes.add(gopark.run(main))
        except (KeyboardInterrupt, Late) as exc:
            outcomes.add(type(exc).__name__)
        sys.setprofile(None)
        assert gopark.run(main) == "ran", nth
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, nth
        assert signal.getsignal(signal.SIGUSR1) is late, nth
        if seen < nth:
            break
print(sorted(outcomes))
"""
    )
    assert (result.stdout, result.stderr) == ("['KeyboardInterrupt', 'Late', 'ran']\n", "")


@pytest.mark.parametrize("wait", ["block(ch.recv())", "for _ in ch: pass", "block(mu.lock())"])
def test_without_run_ctrl_c_ends_a_wait_of_the_main_thread(child, wait):
    result = child(
        PRELUDE
        + f"""
ch, mu = Chan(), gopark.sync.Mutex()
block(mu.lock())
for n in range(3):
    threading.Timer(0.05, kill, (signal.SIGINT,)).start()
    try:
        {wait}
    except KeyboardInterrupt:
        print("interrupted")
print(ch.try_send(1), len(ch._recvq))
"""
    )
    assert (result.stdout, result.stderr) == ("interrupted\n" * 3 + "False 0\n", "")


def test_a_handler_that_is_set_between_first_use_and_run_is_called_and_comes_back(child):
    result = child(
        PRELUDE
        + """
gopark.go(int)  # the first use: handlers that are set from here on stand in a Forward
seen = []
def mine(signum, frame):
    seen.append(signum)
signal.signal(signal.SIGURG, mine)
async def main():
    for n in 1, 2:
        kill(signal.SIGURG)
        while len(seen) < n:
            await gopark.gosched()
for _ in range(2):
    gopark.run(main)
    print(len(seen), signal.getsignal(signal.SIGURG) is mine)
    seen.clear()
"""
    )
    assert (result.stdout, result.stderr) == ("2 True\n2 True\n", "")


def test_an_event_loop_on_the_main_thread_takes_no_signals_away(child):
    """It sets a wake-up descriptor, and clears it: what `notify` asked for comes all the same."""
    result = child(
        PRELUDE
        + """
async def serve():
    loop, seen = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, seen.set)
    kill()
    await asyncio.wait_for(seen.wait(), 10)
    loop.remove_signal_handler(signal.SIGUSR1)
    return "the loop has its own"
def main():
    ch = Chan(5)
    gopark.signal.notify(ch, signal.SIGHUP)
    print(asyncio.run(serve()))
    kill(signal.SIGHUP)
    print(block(select(recv(ch), recv(gopark.time.after(10))))[1].name)
gopark.run(main)
print(signal.set_wakeup_fd(-1))
"""
    )
    assert (result.stdout, result.stderr) == ("the loop has its own\nSIGHUP\n-1\n", "")


def test_a_bad_descriptor_is_pythons_own_error(child):
    result = child(
        PRELUDE
        + """
r, w = os.pipe()
def outcome(fd):
    try:
        return signal.set_wakeup_fd(fd)
    except Exception as exc:
        return type(exc).__name__
def main():
    print(outcome(w), outcome(12345), outcome(-1))
main(); gopark.run(main)
"""
    )
    first, second = result.stdout.splitlines()
    assert (first, result.stderr) == (second, "")


def test_a_second_ctrl_c_comes_though_main_computes(child):
    """And a deadlock is found after one."""
    result = child(
        PRELUDE
        + """
faulthandler.cancel_dump_traceback_later()  # its thread might help, for all that is known
async def main():
    threading.Timer(0.05, kill, (signal.SIGINT,)).start()
    try:
        await gopark.time.sleep(30)
    except KeyboardInterrupt:
        print("first")
    timer = threading.Timer(0.05, kill, (signal.SIGINT,))
    timer.start()
    try:
        while True:
            pass
    except KeyboardInterrupt:
        print("second")
    timer.join()
    await Chan().recv()
gopark.run(main)
"""
    )
    assert result.stdout == "first\nsecond\n"
    assert result.stderr.startswith("fatal error: all goroutines are asleep - deadlock!")


def test_a_signal_that_the_kernel_gave_to_another_thread_is_seen_by_a_main_thread_asleep(child):
    """C notes it there, and nothing wakes the main thread but us."""
    result = child(
        PRELUDE
        + """
async def main():
    got = Chan(1)
    signal.signal(signal.SIGUSR1, lambda *_: got.try_send(1))
    gopark.go(lambda: signal.pthread_kill(threading.get_ident(), signal.SIGUSR1))
    print((await select(recv(got), recv(gopark.time.after(10))))[0])
gopark.runtime.lock_os_thread()
gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("0\n", "")


def test_what_is_noted_twice_before_it_is_called_is_called_once():
    sigfwd.note(print, signal.SIGUSR1)
    sigfwd.note(print, signal.SIGUSR1)
    try:
        assert [one[:2] for one in sigfwd.pending] == [(print, signal.SIGUSR1)]
    finally:
        sigfwd.pending.clear()


def test_what_two_threads_note_at_once_is_called_once():
    """Each has looked before the other has noted it."""
    called = []

    def handler(signum, frame):
        called.append(signum)

    sigfwd.pending.append((handler, signal.SIGUSR1, sys._getframe()))  # the main thread
    sigfwd.pending.append((handler, signal.SIGUSR1, None))  # the signal goroutine
    sigfwd.pending.append((handler, signal.SIGUSR2, None))
    try:
        signal_unix._callpending()
        assert called == [signal.SIGUSR1, signal.SIGUSR2]
        assert not sigfwd.pending
    finally:
        sigfwd.pending.clear()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="Python looks for no signal there")
def test_with_never_leaves_a_lock_held(child):
    """python/cpython#148874: a Ctrl-C between `__enter__` and the block."""
    result = child(
        PRELUDE
        + """
mu, over, more = gopark.sync.Mutex(), False, threading.Semaphore(0)
def interrupts():
    for _ in range(300):
        more.acquire()
        time.sleep(0.0005)
        kill(signal.SIGINT)
thread = threading.Thread(target=interrupts, daemon=True)
def main():
    global over
    thread.start()
    caught = 0
    while caught < 300:
        try:
            more.release()
            while True:
                with mu:
                    pass
        except KeyboardInterrupt:
            caught += 1
            assert mu.try_lock(), caught
            mu.unlock()
    over = True
    while thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt:
            pass
try:
    gopark.run(main)
except KeyboardInterrupt:
    pass
print("never" if over else "it broke off")
"""
    )
    assert result.stdout == "never\n"


def test_a_handler_of_gopark_that_is_saved_and_put_back_does_what_it_did(child):
    ended = child("""
import os, signal, threading
import gopark
import gopark.signal

async def main():
    ch, other = gopark.Chan(1), gopark.Chan(1)
    gopark.signal.notify(ch, signal.SIGTERM)
    for signum in signal.SIGTERM, signal.SIGURG, signal.SIGQUIT:
        old = signal.getsignal(signum)
        signal.signal(signum, signal.SIG_IGN)
        signal.signal(signum, old)
        print(signal.getsignal(signum) is old)
    os.kill(os.getpid(), signal.SIGTERM)
    print(await ch.recv())
    thread = threading.Thread(target=gopark.signal.notify, args=(other, signal.SIGHUP))
    thread.start()  # reaches this one by SIGURG
    gopark.cgo.call(thread.join)
    os.kill(os.getpid(), signal.SIGHUP)
    print(await other.recv())

gopark.run(main)
""")
    assert ended.stdout.split() == ["True", "True", "True", "15", "1"], ended.stderr


def test_what_a_boundary_calls_is_ours_or_the_programs(child):
    """A function of the library's there would pass for user code, and a handler be called in it."""
    result = child(
        PRELUDE
        + """
import os
from gopark._runtime.report.traceback import boundary, hidden
strange = set()
def hook(frame, event, arg):
    below = frame.f_back
    if event == "call" and below is not None and below.f_code in boundary:
        code = frame.f_code
        if not hidden(code) and code.co_filename != __file__:
            strange.add((below.f_code.co_name, code.co_qualname))
calls = 0
def handler(*_):
    global calls
    calls += 1
def plain(ch):
    os.kill(os.getpid(), signal.SIGUSR1)
    gopark.block(ch.send(1))
async def main():
    ch = gopark.Chan()
    for n in range(20):
        gopark.go(plain, ch)
        await ch.recv()
        while calls == n:
            await gopark.time.sleep(0.0001)
signal.signal(signal.SIGUSR1, handler)
sys.setprofile(hook)
gopark.run(main)
calls = 0
def plainmain():
    gopark.block(main())
gopark.run(plainmain)
sys.setprofile(None)
print(strange)
"""
    )
    assert (result.stdout, result.stderr) == ("set()\n", "")


def test_who_puts_pythons_ctrl_c_back_after_the_first_use_gets_it_back(child):
    """As asyncio.run does, which has had a handler of its own while the runtime was first used."""
    result = child(
        PRELUDE
        + """
from _signal import getsignal as table
signal.signal(signal.SIGINT, lambda *_: None)
gopark.block(gopark.time.sleep(0.001))
signal.signal(signal.SIGINT, signal.default_int_handler)
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
gopark.run(int)
print(table(signal.SIGINT) is signal.default_int_handler)
try:
    signal.raise_signal(signal.SIGINT)
    print("nothing")
except KeyboardInterrupt:
    print("KeyboardInterrupt")
"""
    )
    assert (result.stdout, result.stderr) == ("True\nTrue\nKeyboardInterrupt\n", "")
