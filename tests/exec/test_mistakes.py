"""What one gets wrong with commands: the error says how it is done. And systems that have less."""

from __future__ import annotations

import gc
import time
import warnings

import pytest

from gopark import exec as gexec
from gopark.net import ClosedError
from harness import run_python


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no-such-program hello", r"command\('no-such-program', 'hello'\)"),
        ("no-such-program\t-x  y", r"command\('no-such-program', '-x', 'y'\)"),
        ("./no-such-program hello", r"command\('./no-such-program', 'hello'\)"),
    ],
)
async def test_a_command_line_in_one_string(name, text):
    with pytest.raises(FileNotFoundError) as caught:
        await gexec.command(name).run()
    said = "\n".join((str(caught.value), *getattr(caught.value, "__notes__", ())))
    with pytest.raises(gexec.NotFoundError, match=text):
        gexec.look_path(name)
    assert "the arguments are separate: " in said
    assert gexec.command(name).args == [name]


async def test_a_program_that_is_not_there_has_no_such_hint():
    with pytest.raises(gexec.NotFoundError, match=r"found in \$PATH$"):
        await gexec.command("no-such-program").run()


def test_a_command_line_in_a_list():
    with pytest.raises(TypeError, match=r"use command\(\*words\)"):
        gexec.command(["echo", "hello"])
    with pytest.raises(TypeError, match=r"use str\(\)"):
        gexec.command("echo", 5)


async def test_the_coroutines_of_a_pipe_are_called_as_the_user_calls_them():
    cmd = gexec.command("cat")
    with cmd.stdin_pipe() as stdin, cmd.stdout_pipe() as stdout:
        with pytest.warns(RuntimeWarning, match=r"'PipeWriter\.write' was never awaited"):
            stdin.write(b"x")
        with pytest.warns(RuntimeWarning, match=r"'PipeReader\.read' was never awaited"):
            stdout.read()
    await cmd.run()


async def test_what_the_system_says_of_a_pipe_names_it():
    cmd = gexec.command("true")
    with cmd.stdin_pipe() as stdin:
        await cmd.run()
        with pytest.raises(ClosedError, match="write stdin of true: use of closed pipe"):
            await stdin.write(b"x")
    cmd = gexec.command("true")
    with cmd.stdin_pipe() as stdin:
        await cmd.start()
        await cmd.process.wait()
        with pytest.raises(BrokenPipeError, match="write stdin of true: Broken pipe"):
            await stdin.write(b"x")
        await cmd.wait()


async def test_moments_of_the_calendar():
    cmd = gexec.command("true")
    cmd.wait_delay = time.time() + 5
    with pytest.raises(ValueError, match="give the seconds alone"):
        await cmd.run()
    cmd = gexec.command("true")
    with cmd.stdout_pipe() as pipe, pytest.raises(ValueError, match=r"monotonic\(\) \+ seconds"):
        pipe.set_deadline(time.time() + 5)
    await cmd.run()


PROGRAM = """
import os, signal
for name in ("waitid", "WEXITED", "WNOWAIT", "P_PID", "P_ALL", "pidfd_open"):
    if hasattr(os, name):
        delattr(os, name)
import gopark
from gopark import exec

async def main():
    print(await exec.command("echo", "hello").output())
    cmd = exec.command("false")
    try:
        await cmd.run()
    except exec.ExitError as exc:
        print(exc)
    cmd = exec.command("sleep", "600")
    await cmd.start()
    gopark.go(cmd.process.wait)
    cmd.process.signal(signal.SIGTERM)
    print(await cmd.process.wait(), await cmd.process.wait())
    try:
        cmd.process.kill()
    except ProcessLookupError:
        print("gone")
    cmd = exec.command("true")
    await cmd.start()
    os.waitpid(cmd.process.pid, 0)
    try:
        await cmd.process.wait()
    except ChildProcessError as exc:
        print("unknown")
    with gopark.context.with_cancel(gopark.context.background()) as ctx:
        cmd = exec.command_context(ctx, "sleep", "600")
        await cmd.start()
    try:
        await cmd.wait()
    except exec.ExitError as exc:
        print(exc)

gopark.run(main)
"""


def test_a_system_without_waitid():
    """macOS has it in Python since 3.13, and no descriptors of processes."""
    done = run_python(["-X", "dev", "-W", "error", "-c", PROGRAM])
    assert (done.stderr, done.status) == ("", 0)
    assert done.stdout.splitlines() == [
        r"b'hello\n'",
        "exit status 1",
        "signal: terminated signal: terminated",
        "gone",
        "unknown",
        "signal: killed",
    ]


def test_a_cmd_whose_arguments_are_no_list():
    for args in ("-l /tmp", b"-l", 3):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # nothing of a half-made Cmd comes later
            with pytest.raises(TypeError, match=r"Cmd\(\) needs a list of strings as args, got"):
                gexec.Cmd("ls", args)
        gc.collect()


async def test_arguments_that_are_set_to_one_string():
    cmd = gexec.command("echo")
    cmd.args = "echo hello"
    with pytest.raises(TypeError, match="needs a list of strings as args, got 'echo hello'"):
        await cmd.run()


async def test_a_signal_that_is_no_number():
    cmd = gexec.command("cat")
    stdin = cmd.stdin_pipe()
    await cmd.start()
    with pytest.raises(TypeError, match=r"Process.signal\(\) needs an integer as sig, got 'TERM'"):
        cmd.process.signal("TERM")
    stdin.close()
    await cmd.wait()


async def test_a_name_with_a_line_break_forges_no_line():
    with pytest.raises(gexec.NotFoundError) as caught:
        await gexec.command("no\nsuch\x1b[31m").run()
    assert "no\\nsuch\\x1b[31m" in str(caught.value)
