"""Process: waiting, signals; and what is left of children: nothing."""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import threading
import time

import pytest

import gopark
from gopark import context, exec
from gopark.exec import ExitError, Process
from gopark.exec._reaper import pidfd
from gopark.testing import wait_all_parked
from harness import run_python


async def sleeper(*args):
    cmd = exec.command("sleep", "600")
    await cmd.start()
    return cmd


async def test_wait_gives_the_same_to_all():
    cmd = await sleeper()
    process = cmd.process
    states = []

    async def wait():
        states.append(await process.wait())

    async with gopark.sync.errgroup.Group() as group:
        for _ in range(3):
            group.go(wait)
        await gopark.gosched()
        process.kill()
    assert len(states) == 3
    assert {(s.pid, s.signal) for s in states} == {(process.pid, signal.SIGKILL)}
    assert str(await process.wait()) == "signal: killed"


async def test_signals():
    cmd = await sleeper()
    with pytest.raises(ValueError, match="not a valid Signals"):
        cmd.process.signal(1000)
    cmd.process.signal(0)
    cmd.process.signal(signal.SIGTERM)
    with pytest.raises(ExitError, match=r"^signal: terminated$"):
        await cmd.wait()
    with pytest.raises(ProcessLookupError, match="has ended"):
        cmd.process.kill()
    assert repr(cmd.process) == f"<Process {cmd.process.pid} ended>"


async def test_a_child_that_has_ended_before_it_is_waited_for():
    cmd = exec.command("true")
    await cmd.start()
    os.waitid(os.P_PID, cmd.process.pid, os.WEXITED | os.WNOWAIT)
    await cmd.wait()


async def test_other_children_are_left_alone():
    """Go: TestSIGCHLD. Who uses subprocess beside it, or has a handler, is not disturbed."""
    before = signal.getsignal(signal.SIGCHLD)
    other = subprocess.Popen(["sh", "-c", "exit 7"])
    await exec.command("true").run()
    assert gopark.cgo.call(other.wait) == 7
    assert signal.getsignal(signal.SIGCHLD) is before


def test_sigchld_ignored():
    """How it ended the system does not tell then, and so does `wait`; it does not hang."""
    out = run_python(
        [
            "-c",
            """
import signal, gopark
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
async def main():
    try:
        await gopark.exec.command("true").run()
    except ChildProcessError as exc:
        print("SIGCHLD" in str(exc))
gopark.run(main)
""",
        ]
    )
    assert (out.stdout, out.stderr, out.status) == ("True\n", "", 0)


async def test_errors_survive_pickle():
    with pytest.raises(ExitError) as info:
        await exec.command("sh", "-c", "echo oops >&2; exit 3").output()
    copy = pickle.loads(pickle.dumps(info.value))
    assert (str(copy), copy.exit_code) == ("exit status 3: oops", 3)
    with pytest.raises(exec.NotFoundError) as info:
        exec.look_path("no-such-program-anywhere")
    copy = pickle.loads(pickle.dumps(info.value))
    assert (str(copy), copy.name) == (str(info.value), "no-such-program-anywhere")


# --- what is left --------------------------------------------------------------------------------


async def test_500_children_at_once_leave_nothing(waiting, alone):
    """No goroutine, here; no zombie and no descriptor, as after every test of this folder."""
    many = 500 if waiting == "epoll" else 50
    cmds = [exec.command("cat") for _ in range(many)]
    pipes = [cmd.stdin_pipe() for cmd in cmds]
    async with gopark.sync.errgroup.Group() as group:
        for cmd in cmds:
            cmd.stdout = bytearray()
            await cmd.start()
            group.go(cmd.wait)
        if waiting == "epoll":
            threads = threading.active_count()
            await wait_all_parked()
            assert threading.active_count() <= threads  # not one for each
        for n, pipe in enumerate(pipes):
            await pipe.write(b"%d" % n)
            pipe.close()
    assert [int(cmd.stdout) for cmd in cmds] == list(range(many))
    await alone()


def test_a_cmd_that_is_dropped_is_no_zombie(run):
    """One that has ended, and one that ends later."""
    pids = []

    async def main():
        cmd = exec.command("true")
        await cmd.start()
        os.waitid(os.P_PID, cmd.process.pid, os.WEXITED | os.WNOWAIT)
        pids.append(cmd.process.pid)
        late = exec.command("cat")
        pipe = late.stdin_pipe()
        await late.start()
        pids.append(late.process.pid)
        with pytest.warns(ResourceWarning, match="was not waited for"):
            cmd = late = None
        return pipe

    pipe = run(main)
    pipe.close()
    assert wait_until_gone(pids)


def test_a_cmd_with_a_context_that_is_dropped_is_no_zombie(run):
    """The context keeps it, to end it. It may live for ever."""

    async def main():
        ctx, cancel = context.with_cancel(context.background())
        cmd = exec.command_context(ctx, "cat")
        pipe = cmd.stdin_pipe()
        await cmd.start()
        pid = cmd.process.pid
        other = exec.command_context(ctx, "sleep", "600")
        await other.start()
        killed = other.process.pid
        with pytest.warns(ResourceWarning, match="was not waited for"):
            cmd = other = None
        pipe.close()
        while not gone(pid):
            await gopark.time.sleep(0.001)
        assert not gone(killed)
        cancel()
        while not gone(killed):
            await gopark.time.sleep(0.001)

    run(main)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_until_gone(pids, seconds=20):
    end = time.monotonic() + seconds
    while not all(map(gone, pids)):
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def test_main_may_return_while_a_child_runs(run):
    """Nobody waits for it; it is its own."""

    async def main():
        cmd = await sleeper()
        gopark.go(cmd.wait)
        await gopark.gosched()
        return cmd

    cmd = run(main)
    cmd.process.kill()
    run(cmd.process.wait)


def test_an_interrupt_leaves_the_child_to_be_waited_for():
    out = run_python(
        [
            "-c",
            """
import os, signal, threading, gopark
async def main():
    cmd = gopark.exec.command("cat")
    pipe = cmd.stdin_pipe()
    await cmd.start()
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        await cmd.wait()
    except KeyboardInterrupt:
        print("interrupted")
    pipe.close()
    await cmd.wait()
    print(cmd.process_state)
gopark.run(main)
""",
        ]
    )
    assert out.stdout == "interrupted\nexit status 0\n", out


def test_in_the_child_of_a_fork_it_is_not_a_child():
    out = run_python(
        [
            "-c",
            """
import os, sys, warnings, gopark
warnings.simplefilter("ignore")
async def main():
    cmd = gopark.exec.command("cat")
    pipe = cmd.stdin_pipe()
    await cmd.start()
    pid = os.fork()
    if pid == 0:
        pipe.close()
        try:
            await cmd.process.wait()
        except ChildProcessError:
            os._exit(5)
        os._exit(6)
    pipe.close()
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    await cmd.wait()
    print(cmd.process_state)
gopark.run(main)
""",
        ]
    )
    assert out.stdout == "5\nexit status 0\n", out


async def test_no_descriptor_is_left_when_there_are_no_more(wait_until):
    """EMFILE at each point of a start: an OSError, and nothing is left open."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fds = len(os.listdir("/proc/self/fd"))
    worked = failed = 0
    for extra in range(16):
        resource.setrlimit(resource.RLIMIT_NOFILE, (fds + extra, hard))
        try:
            cmd = exec.command("cat")
            cmd.stdin = b"hello"
            assert await cmd.output() == b"hello"
            worked += 1
        except OSError:
            failed += 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        # sysmon looks into a file of the container's now and then
        assert wait_until(lambda: len(os.listdir("/proc/self/fd")) <= fds, 20)
    assert worked
    assert failed


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_children_under_faults_leave_nothing(run, seed, alone):
    """Started, fed and ended at random, by themselves and by their contexts."""
    rand = random.Random(seed)

    async def one(how, ctx):
        cmd = exec.command_context(ctx, "sh", "-c", how)
        cmd.wait_delay = 0.001
        if rand.random() < 0.5:
            cmd.stdin = b"x" * rand.choice((0, 1, 1 << 17))
        try:
            await cmd.output()
        except (ExitError, exec.WaitDelayError, context.Canceled):
            pass

    async def main():
        hows = ["exit 0", "exit 1", "kill -9 $$", "cat", "exec sleep 600", "exec <&-; exec >&-"]
        async with gopark.sync.errgroup.Group() as group:
            for _ in range(60):
                ctx, cancel = context.with_cancel(context.background())
                group.go(one, rand.choice(hows), ctx)
                gopark.time.after_func(rand.random() * 0.05 + 0.05, cancel)
        await alone()

    run(main)


def test_without_a_descriptor_of_the_process(waiting):
    """GOPARKDEBUG=pidfd=0 stands for an old kernel."""
    fd = pidfd(os.getpid())
    assert (fd < 0) == (waiting == "thread")
    if fd >= 0:
        os.close(fd)


async def test_a_process_is_no_value():
    cmd = await sleeper()
    with pytest.raises(TypeError, match="must not be copied"):
        pickle.dumps(cmd.process)
    assert isinstance(cmd.process, Process)
    cmd.process.kill()
    await cmd.process.wait()
