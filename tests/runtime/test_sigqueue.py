"""Signals on channels, where a process has to end, hang, fork or be killed to show what happens."""

from __future__ import annotations

import ast
import signal

import pytest

from gopark._runtime.signal import sigqueue
from harness import run_python

PRELUDE = """
import os, signal, subprocess, sys, threading, time
from signal import SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2
import gopark
from gopark import Chan, block
from gopark.signal import ignore, ignored, notify, reset, stop

def kill(signum):
    os.kill(os.getpid(), signum)
"""

SENDER = """
# Another process sends it, once main has said that it is ready.
def send(signum):
    code = f"import os, sys; sys.stdin.read(1); os.kill({os.getpid()}, {signum})"
    return subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE)
"""


# --- is it a deadlock? --------------------------------------------------------------------------


def test_a_program_that_waits_for_a_signal_is_not_dead(child):
    result = child(
        PRELUDE
        + SENDER
        + """
async def main():
    ch = Chan(1)
    notify(ch, SIGUSR1)
    sender = send(SIGUSR1)
    sender.stdin.write(b"."), sender.stdin.close()
    print(await ch.recv() == SIGUSR1)
    sender.wait()
gopark.debug.strict_deadlock()
gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr, result.returncode) == ("True\n", "", 0)


@pytest.mark.parametrize("procs", ["1", "4"])
def test_nor_is_it_while_it_is_being_woken(child, procs):
    """Between being taken off the channel's queue and being put on a run queue."""
    result = child(
        PRELUDE
        + """
async def main():
    ch = Chan(1)
    notify(ch, SIGUSR1)
    for _ in range(5000):
        kill(SIGUSR1)
        await ch.recv()
    print("OK")
gopark.debug.strict_deadlock()
gopark.run(main)
""",
        GOMAXPROCS=procs,
    )
    assert (result.stdout, result.stderr) == ("OK\n", "")


@pytest.mark.parametrize(
    "wait",
    [
        "notify(ch, SIGUSR1); await Chan().recv()",  # nobody receives from ch
        "notify(ch, SIGUSR1); stop(ch); await ch.recv()",
        "notify(ch, SIGUSR1); reset(SIGUSR1); await ch.recv()",
        "notify(ch, 0xdead); await ch.recv()",
        "ignore(SIGUSR1); await ch.recv()",
    ],
)
def test_a_program_that_no_signal_can_wake_is_dead(child, wait):
    result = child(
        PRELUDE
        + f"""
async def main():
    ch = Chan(1)
    {wait}
gopark.debug.strict_deadlock()
gopark.run(main)
"""
    )
    assert result.stderr.startswith("fatal error: all goroutines are asleep - deadlock!\n")
    assert "goroutine 1 [chan receive]:\nmain.main(...)\n" in result.stderr
    assert result.returncode == 2


def test_a_select_with_the_channel_among_its_cases_may_be_woken(child):
    result = child(
        PRELUDE
        + """
async def main():
    ch, other = Chan(1), Chan()
    notify(ch, SIGUSR1)
    def asleep():  # no thread of Python's: C's own, so that only the listener counts
        gopark.cgo.call(time.sleep, 0.2)
        kill(SIGUSR1)
    gopark.go(asleep)
    print(await gopark.select(gopark.recv(other), gopark.recv(ch)))
    kill(SIGUSR1)
    print(len(ch) in (0, 1))
gopark.debug.strict_deadlock()
gopark.run(main)
"""
    )
    expected = f"(1, {signal.SIGUSR1!r}, True)\nTrue\n"
    assert (result.stdout, result.stderr) == (expected, "")


# --- ends -----------------------------------------------------------------------------------------


def test_a_channel_that_is_closed_while_it_listens_is_a_panic(child):
    result = child(
        PRELUDE
        + """
async def main():
    ch = Chan(1)
    notify(ch, SIGUSR1)
    ch.close()
    kill(SIGUSR1)
    await gopark.time.sleep(10)
gopark.run(main)
"""
    )
    first, *rest = result.stderr.splitlines()
    assert first.startswith("panic: gopark.ClosedChannelError: send on closed channel: <Chan 0/1")
    assert "call gopark.signal.stop(ch) before ch.close()" in first
    assert rest[1].startswith("goroutine 2 [running]:")
    assert result.returncode == 2


def test_who_waits_for_the_signal_goroutine_goes_home_when_that_panics(child):
    result = child(
        PRELUDE
        + """
def main():
    closed, ch = Chan(1), Chan(1)
    notify(closed, SIGUSR1)
    closed.close()
    while True:
        notify(ch, SIGUSR2)
        kill(SIGUSR1)
        stop(ch)
try:
    gopark.run(main)
except SystemExit as exc:
    print("home", exc.code)
"""
    )
    assert result.stdout == "home 2\n"
    assert result.stderr.startswith("panic: gopark.ClosedChannelError: send on closed channel")


def test_a_signal_goroutine_that_panics_gives_its_pipe_back(child):
    result = child(
        PRELUDE
        + """
async def main():
    ch = Chan(1)
    notify(ch, SIGUSR1)
    ch.close()
    kill(SIGUSR1)
    stop(ch)
opened = set()
for _ in range(3):
    try:
        gopark.run(main)
    except SystemExit as exc:
        opened.add(len(os.listdir("/dev/fd")))
print(len(opened))
"""
    )
    assert result.stdout == "1\n"


def test_a_signal_after_stop_does_what_it_does_by_default(child):
    result = child(
        PRELUDE
        + """
async def main():
    ch = Chan(1)
    notify(ch, SIGTERM)
    kill(SIGTERM)
    print((await ch.recv()).name, flush=True)
    stop(ch)
    kill(SIGTERM)
    await gopark.time.sleep(10)
gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("SIGTERM\n", "")
    assert result.returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    "busy", ["time.sleep(100)", "while True: pass", "block(gopark.time.sleep(100))"]
)
def test_a_fatal_error_brings_main_home_though_somebody_listens_for_ctrl_c(child, busy):
    """And nobody is told of a Ctrl-C that nobody has typed."""
    result = child(
        PRELUDE
        + f"""
ch = Chan(9)
def fails():
    time.sleep(0.1)
    raise ValueError("oops")
def main():
    notify(ch, SIGINT)
    gopark.go(fails)
    {busy}
try:
    gopark.run(main)
except SystemExit as exc:
    print(exc.code, len(ch), signal.getsignal(SIGINT) is signal.default_int_handler)
"""
    )
    assert result.stdout == "2 0 True\n"
    assert result.stderr.startswith("panic: ValueError: oops\n")


def test_ctrl_c_goes_to_the_listener_and_is_a_keyboard_interrupt_again_after_stop(child):
    result = child(
        PRELUDE
        + """
async def main():
    ch = Chan(2)
    notify(ch, SIGINT)
    kill(SIGINT)
    print((await ch.recv()).name)
    stop(ch)
    gopark.go(lambda: (time.sleep(0.05), kill(SIGINT)))
    try:
        await gopark.time.sleep(100)
    except KeyboardInterrupt:
        print("interrupted", len(ch))
    ignore(SIGINT)
    kill(SIGINT)
    await gopark.time.sleep(0.05)
gopark.run(main)
try:
    kill(SIGINT)
    time.sleep(100)
except KeyboardInterrupt:
    print("outside")
"""
    )
    assert result.stdout == "SIGINT\ninterrupted 0\noutside\n"
    assert (result.stderr, result.returncode) == ("", 0)


def test_who_asks_first_just_as_the_program_ends_leaves_nothing_behind(child):
    result = child(
        PRELUDE
        + """
from gopark._runtime.signal import sigqueue
asked, ended = threading.Event(), threading.Event()
class Slow(sigqueue.Sigqueue):
    def __init__(self):
        asked.set()
        ended.wait(0.2)  # main's turn, which waits for this one
        super().__init__()
sigqueue.Sigqueue = Slow

def asks():
    try:
        notify(Chan(1), SIGUSR1)
    except BaseException as exc:
        print(type(exc).__name__)

thread = threading.Thread(target=asks, daemon=True)
def main():
    thread.start()
    asked.wait()
gopark.run(main)
ended.set()
thread.join(120)
print(thread.is_alive(), sigqueue.running(), signal.getsignal(SIGUSR1).name)
"""
    )
    assert result.stdout.splitlines()[-1:] == ["False None SIG_DFL"]


def test_a_finaliser_that_asks_while_its_thread_asks_first_is_told(child):
    result = child(
        PRELUDE
        + """
from gopark._runtime.signal import sigqueue
class Local:
    def __del__(self):
        try:
            notify(Chan(1), SIGUSR2)
        except gopark.NotOnGError:
            print("told")
make = sigqueue.takepipe
def takepipe():
    Local()
    return make()
sigqueue.takepipe = takepipe
async def main():
    notify(Chan(1), SIGUSR1)
gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("told\n", "")


def test_a_listener_costs_no_time_at_the_end(child):
    """A thread that is in C would be waited for, a tenth of a second."""
    result = child(
        PRELUDE
        + """
async def main():
    notify(Chan(1), SIGUSR1)
    await gopark.gosched()
def ended():
    began = time.monotonic()
    gopark.run(main)
    return time.monotonic() - began
print(min(ended() for _ in range(20)) < 0.05)
fds = len(os.listdir("/dev/fd"))
for _ in range(20):
    gopark.run(main)
print(len(os.listdir("/dev/fd")) - fds)
"""
    )
    assert (result.stdout, result.stderr) == ("True\n0\n", "")


def test_the_interpreter_may_exit_while_somebody_listens(child):
    result = child(
        PRELUDE
        + """
def main():
    notify(Chan(1), SIGUSR1)
    os.write(1, b"exits\\n")
    sys.exit(3)
gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr, result.returncode) == ("exits\n", "", 3)


# --- what stood before ----------------------------------------------------------------------------


def test_a_handler_in_c_comes_back(child):
    """faulthandler's, which Python's table of handlers does not know of."""
    result = child(
        PRELUDE
        + """
import faulthandler
faulthandler.register(SIGUSR1, all_threads=False)
async def main():
    ch = Chan(1)
    notify(ch, SIGUSR1)
    kill(SIGUSR1)
    print((await ch.recv()).name, flush=True)
    stop(ch)
    kill(SIGUSR1)
gopark.run(main)
kill(SIGUSR1)
"""
    )
    assert result.stdout == "SIGUSR1\n"
    assert result.stderr.count("(most recent call first)") == 2
    assert result.returncode == 0


def test_an_exception_of_another_handler_is_raised_in_main_and_not_in_who_asks(child):
    result = child(
        PRELUDE
        + """
class Late(Exception): pass
def late(signum, frame):
    raise Late
signal.signal(signal.SIGALRM, late)
done = []
def asks():
    ch = Chan(1)
    while not done:
        notify(ch, SIGUSR1)
        stop(ch)
def main():
    gopark.go(asks)
    for _ in range(100):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.002)
            while True:
                pass
        except Late:
            pass
    done.append(1)
    print("100 times")
gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("100 times\n", "")


def test_a_signal_that_comes_together_with_the_errand_that_ends_its_handler(child):
    """Python would say that it has no handler for it, and so that it was ignored."""
    result = child(
        PRELUDE
        + """
from signal import SIGURG, SIGWINCH  # in the order in which Python serves them
def main():
    ch, stopped = Chan(1), Chan()
    notify(ch, SIGWINCH)
    signal.pthread_sigmask(signal.SIG_BLOCK, [SIGURG, SIGWINCH])
    signal.pthread_kill(threading.get_ident(), SIGWINCH)
    def stops():
        stop(ch)
        stopped.close()
    gopark.go(stops)
    while SIGURG not in signal.sigpending():
        time.sleep(0.001)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [SIGURG, SIGWINCH])
    block(stopped.recv())
    print(ch.try_recv())
gopark.run(main)
"""
    )
    assert result.stdout == f"({signal.SIGWINCH!r}, True, True)\n"
    assert result.stderr == ""


# --- fork -----------------------------------------------------------------------------------------


def test_the_child_of_a_fork_starts_afresh(child):
    result = child(
        PRELUDE
        + """
import warnings
warnings.simplefilter("ignore")  # a fork beside other threads
async def grandchild():
    ch = Chan(1)
    notify(ch, SIGUSR1)
    kill(SIGUSR1)
    print("child", (await ch.recv()).name, flush=True)
def main():
    ch = Chan(9)
    notify(ch, SIGUSR1, SIGINT)
    ignore(SIGHUP)
    kill(SIGUSR1)
    block(ch.recv())
    pid = os.fork()
    if not pid:
        print(
            signal.getsignal(SIGUSR1) == signal.getsignal(SIGHUP) == signal.SIG_DFL,
            signal.getsignal(SIGINT) is signal.default_int_handler,
            signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set(),
            signal.set_wakeup_fd(-1),
            flush=True,
        )
        gopark.run(grandchild)
        kill(SIGUSR1)
        os._exit(1)
    print("child ended by", Signals(os.WTERMSIG(os.waitpid(pid, 0)[1])).name)
    print("parent has", len(ch))
    kill(SIGUSR1)
    print("parent", block(ch.recv()).name)
from signal import Signals
gopark.run(main)
"""
    )
    assert result.stderr == ""
    assert result.stdout == (
        "True True True -1\nchild SIGUSR1\nchild ended by SIGUSR1\nparent has 0\nparent SIGUSR1\n"
    )


@pytest.mark.parametrize("elsewhere", [False, True])
def test_in_the_child_what_was_blocked_before_is_blocked_again(child, elsewhere):
    result = child(
        PRELUDE
        + f"""
import warnings
warnings.simplefilter("ignore")  # a fork beside other threads
signal.pthread_sigmask(signal.SIG_BLOCK, [SIGUSR1, SIGUSR2])
def forks():
    signal.pthread_sigmask(signal.SIG_SETMASK, [SIGUSR2])
    pid = os.fork()
    if not pid:
        print({{s.name for s in signal.pthread_sigmask(signal.SIG_BLOCK, ())}}, flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
def main():
    notify(Chan(1), SIGUSR1)
    thread = threading.Thread(target=forks)
    if {elsewhere}:
        thread.start()
        thread.join()
    else:
        forks()
gopark.run(main)
"""
    )
    blocked = {"SIGUSR2"} if elsewhere else {"SIGUSR1", "SIGUSR2"}
    assert (ast.literal_eval(result.stdout), result.stderr) == (blocked, "")


def test_signals_sent_while_children_are_forked_reach_no_one_else(child):
    """The child shares the parent's pipe for a moment, in which it must not be written to."""
    result = child(
        PRELUDE
        + """
import warnings
warnings.simplefilter("ignore")
def main():
    ch = Chan(1000)
    notify(ch, SIGUSR2)
    for _ in range(20):
        pid = os.fork()
        if not pid:
            time.sleep(100)
        os.kill(pid, SIGUSR2)
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == SIGUSR2
    stop(ch)
    print(len(ch))
gopark.run(main)
"""
    )
    assert (result.stdout, result.stderr) == ("0\n", "")


# --- checked --------------------------------------------------------------------------------------


def test_in_a_debug_run_all_invariants_hold(child):
    result = child(
        PRELUDE
        + """
async def main():
    told = Chan()
    def listener(signum):
        for _ in range(10):
            ch = Chan(1)
            notify(ch, signum)
            kill(signum)
            block(ch.recv())
            stop(ch)
        block(told.send(signum))
    for signum in (SIGUSR1, SIGUSR2, SIGHUP):
        gopark.go(listener, signum)
    for _ in range(3):
        await told.recv()
    print("OK")
gopark.run(main)
""",
        GOPARKDEBUG="checksched=1,lockrank=1",
        GOMAXPROCS="4",
    )
    assert (result.stdout, result.stderr) == ("OK\n", "")


@pytest.mark.parametrize(
    "does",
    [
        "set_wakeup_fd(w)",
        "notify(ch, SIGUSR1); set_wakeup_fd(w)",
        "notify(ch, SIGUSR1); set_wakeup_fd(w); notify(ch, SIGUSR2); set_wakeup_fd(-1)",
    ],
)
def test_a_descriptor_that_is_closed_by_the_end_spoils_no_result(child, does):
    """It was set behind our back, by the function that stood before `run`."""
    result = child(
        "from signal import set_wakeup_fd"
        + PRELUDE
        + f"""
async def main():
    ch = Chan(1)
    r, w = os.pipe()
    os.set_blocking(w, False)
    {does}
    os.close(w)
    return "result"
print(gopark.run(main), signal.set_wakeup_fd(-1), signal.getsignal(SIGUSR1).name)
"""
    )
    assert (result.stdout, result.stderr) == ("result -1 SIG_DFL\n", "")


def test_its_number_may_be_that_of_a_folder_by_then(child):
    """One that is being listed: Python takes it, for it does not block."""
    result = child(
        "from signal import set_wakeup_fd"
        + PRELUDE
        + """
async def main():
    r, w = os.pipe()
    os.set_blocking(w, False)
    set_wakeup_fd(w)
    folder = os.open(".", os.O_RDONLY | os.O_NONBLOCK)
    os.dup2(folder, w)
gopark.run(main)
print(signal.set_wakeup_fd(-1))
"""
    )
    assert (result.stdout, result.stderr) == ("-1\n", "")


def test_what_the_loop_counts_from_here_on_leaves_in_what_main_adds_meanwhile():
    q = sigqueue.Sigqueue()
    try:
        add = q.active.add  # `catch` has looked it up, and goes on after the loop
        q.requests.append((frozenset({signal.SIGUSR1}), frozenset()))
        q.answer()
        add(signal.SIGUSR2)
        assert q.active == {signal.SIGUSR1, signal.SIGUSR2}
    finally:
        sigqueue.pipes.append((q.r, q.w))


CLOSED = """
import os, signal, stat
import gopark

for fd in range(3):
    os.close(fd)

async def main():
    ch = gopark.Chan(9)
    gopark.signal.notify(ch, signal.SIGUSR1)
    pipes = 0
    for fd in range(3):
        try:
            pipes += stat.S_ISFIFO(os.fstat(fd).st_mode)
        except OSError:
            pass  # free; another thread may have a file by it for a moment
    os._exit(pipes)

gopark.run(main)
"""


def test_no_pipe_gets_the_number_of_a_standard_stream_that_is_closed():
    """What is printed there, by C or a child process, would be taken for signals."""
    assert run_python(["-c", CLOSED]).status == 0
