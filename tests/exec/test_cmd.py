"""Cmd: what goes in, what comes out, and how it ends. After Go's os/exec/exec_test.go."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import sys
import tempfile
import threading

import pytest

import gopark
from gopark import exec, net
from gopark.exec import ExitError, NotFoundError
from gopark.net import ClosedError

BIG = 4 << 20


def sh(script, *args):
    return exec.command("sh", "-c", script, "sh", *args)


# --- what comes out ------------------------------------------------------------------------------


@pytest.mark.go("os/exec", "TestEcho")
async def test_echo():
    assert await exec.command("echo", "foo bar", "baz").output() == b"foo bar baz\n"


@pytest.mark.go("os/exec", "TestCatStdin")
async def test_cat_stdin():
    cmd = exec.command("cat")
    cmd.stdin = io.BytesIO(b"Input string\nLine 2")
    assert await cmd.output() == b"Input string\nLine 2"


@pytest.mark.go("os/exec", "TestCatGoodAndBadFile")
async def test_cat_good_and_bad_file(tmp_path):
    good = tmp_path / "good"
    good.write_bytes(b"good\n")
    with pytest.raises(ExitError) as info:
        await exec.command("cat", tmp_path / "none", str(good)).combined_output()
    first, last = info.value.stdout.splitlines()
    assert first.startswith(b"cat: ")
    assert last == b"good"
    assert info.value.exit_code == 1


@pytest.mark.go("os/exec", "TestOutputStderrCapture")
async def test_output_stderr_capture():
    with pytest.raises(ExitError) as info:
        await sh("echo some stderr text >&2; echo out; exit 1").output()
    assert info.value.stderr == b"some stderr text\n"
    assert info.value.stdout == b"out\n"
    assert str(info.value) == "exit status 1: some stderr text"


@pytest.mark.go("os/exec", "TestPrefixSuffixSaver")
async def test_prefix_suffix_saver():
    with pytest.raises(ExitError) as info:
        await sh("echo first; yes 0123456 | head -c 1000000; echo last; exit 1 >&2").output()
    assert info.value.stderr == b""
    with pytest.raises(ExitError) as info:
        await sh("(echo first; yes 0123456 | head -c 1000000; echo last) >&2; exit 1").output()
    assert info.value.stderr.startswith(b"first\n0123456\n")
    assert info.value.stderr.endswith(b"last\n")
    total = 1000000 + len(b"first\nlast\n")
    assert b"\n... omitting %d bytes ...\n" % (total - 2 * 32768) in info.value.stderr


async def test_huge_output_and_input_at_once():
    data = os.urandom(BIG)
    cmd = exec.command("cat")
    cmd.stdin = data
    assert await cmd.output() == data


async def test_one_object_for_both_streams_is_written_by_one():
    cmd = sh("echo a; echo b >&2; echo c")
    cmd.stdout = cmd.stderr = out = bytearray()
    await cmd.run()
    assert out == b"a\nb\nc\n"


async def test_nothing_said_is_the_null_device(capfd):
    cmd = sh("cat; echo to nobody; echo nor this >&2")
    await cmd.run()
    assert capfd.readouterr() == ("", "")


# --- what it may be ------------------------------------------------------------------------------


async def test_files_are_the_childs_own(tmp_path):
    """Nothing is copied: there is no goroutine but this one."""
    (tmp_path / "in").write_bytes(b"from a file\n")
    with open(tmp_path / "in", "rb") as file, open(tmp_path / "out", "w") as out:
        out.write("before\n")
        cmd = sh("cat; echo oops >&2")
        cmd.stdin = file
        cmd.stdout = out
        cmd.stderr = out.fileno()
        await cmd.start()
        assert gopark.runtime.num_goroutine() == 1
        await cmd.wait()
    assert (tmp_path / "out").read_bytes() == b"before\nfrom a file\noops\n"


async def test_a_temporary_file():
    with tempfile.NamedTemporaryFile() as file:
        cmd = exec.command("echo", "hello")
        cmd.stdout = file
        await cmd.run()
        file.seek(0)
        assert file.read() == b"hello\n"


async def test_a_compressed_file_is_copied():
    """It has a fileno, of what is under it."""
    import gzip

    with tempfile.TemporaryFile() as under:
        with gzip.open(under, "wb") as file:
            file.write(b"plain\n")
        under.seek(0)
        with gzip.open(under, "rb") as file:
            cmd = exec.command("cat")
            cmd.stdin = file
            assert await cmd.output() == b"plain\n"


async def test_streams_that_wait():
    import socket

    a, b = map(net.from_socket, socket.socketpair())
    with a, b:
        cmd = exec.command("cat")
        cmd.stdin = net.Reader(b)
        await a.write(b"over the wire")
        a.close_write()
        assert await cmd.output() == b"over the wire"
    a, b = map(net.from_socket, socket.socketpair())
    with a, b:
        cmd = exec.command("echo", "to the wire")
        cmd.stdout = a
        await cmd.run()
        a.close()
        assert await net.Reader(b).read_all() == b"to the wire\n"


async def test_one_childs_output_is_anothers_input():
    first, second = exec.command("cat"), exec.command("tr", "a-z", "A-Z")
    stdin = first.stdin_pipe()
    second.stdin = first.stdout_pipe()
    second.stdout = out = bytearray()
    await first.start()
    await second.start()
    assert os.get_blocking(second.stdin.fileno())  # the child is to wait for its input
    await stdin.write(b"hello\n")
    stdin.close()
    await second.wait()
    await first.wait()
    assert out == b"HELLO\n"


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("stdin", "text", TypeError),
        ("stdin", io.StringIO("text"), TypeError),
        ("stdin", object(), TypeError),
        ("stdin", -1, ValueError),
        ("stdout", io.StringIO(), TypeError),
        ("stdout", b"bytes", TypeError),
        ("stderr", -2, ValueError),
        ("stderr", object(), TypeError),
        ("extra_files", [io.BytesIO()], TypeError),
        ("env", ["A=1"], TypeError),
        ("env", {"A": 1}, TypeError),
        ("env", {"": "1"}, ValueError),
        ("env", {"A=B": "1"}, ValueError),
        ("wait_delay", "1", TypeError),
        ("wait_delay", float("nan"), ValueError),
        ("sys_proc_attr", {"shell": True}, ValueError),
        ("path", "", ValueError),
    ],
)
async def test_what_a_field_cannot_be(field, value, error):
    cmd = exec.command("true")
    cmd.stdin = b""
    setattr(cmd, field, value)
    with pytest.raises(error):
        await cmd.start()
    assert cmd.process is None


def test_what_an_argument_cannot_be():
    with pytest.raises(TypeError, match="got 5 as argument 2"):
        exec.command("echo", "a", 5)
    with pytest.raises(TypeError, match="as name"):
        exec.command(None)
    with pytest.raises(AttributeError):
        exec.command("echo").Stdin = b""


async def test_text_from_a_reader_is_an_error():
    class Text:
        def read(self, n):
            return "text"

    cmd = exec.command("cat")
    cmd.stdin = Text()
    with pytest.raises(TypeError, match="gave text"):
        await cmd.run()


async def test_a_writer_that_takes_a_part_gets_the_rest():
    got = []

    class Slow:
        def write(self, data):
            got.append(data[:3])
            return min(3, len(data))

    cmd = exec.command("printf", "abcdefgh")
    cmd.stdout = Slow()
    await cmd.run()
    assert b"".join(got) == b"abcdefgh"
    assert len(got) == 3


# --- pipes ---------------------------------------------------------------------------------------


@pytest.mark.go("os/exec", "TestPipes")
async def test_pipes():
    cmd = sh('while read line; do echo "out:$line"; echo "err:$line" >&2; done')
    stdin, out, err = cmd.stdin_pipe(), cmd.stdout_pipe(), cmd.stderr_pipe()
    outs, errs = net.Reader(out), net.Reader(err)
    await cmd.start()
    await stdin.write(b"one\n")
    assert await outs.read_line() == b"out:one"
    assert await errs.read_line() == b"err:one"
    await stdin.write(b"two\n")
    assert await outs.read_line() == b"out:two"
    stdin.close()
    assert await outs.read_line() is None
    await cmd.wait()
    with pytest.raises(ClosedError, match="read stdout of sh: use of closed pipe"):
        await out.read()
    with pytest.raises(ClosedError):
        await stdin.write(b"more")


@pytest.mark.go("os/exec", "TestStdinClose")
async def test_stdin_close(procs):
    """One writes and closes while another waits for the end."""
    cmd = exec.command("cat")
    pipe = cmd.stdin_pipe()
    cmd.stdout = out = bytearray()
    await cmd.start()

    async def write():
        await pipe.write(b"Some test string.")
        pipe.close()

    gopark.go(write)
    await cmd.wait()
    pipe.close()
    assert out == b"Some test string."


@pytest.mark.go("os/exec", "TestStdinCloseRace")
async def test_stdin_close_race(procs):
    """The child is killed at the same time."""
    cmd = sh("cat; exit 1")
    pipe = cmd.stdin_pipe()
    await cmd.start()

    async def write():
        with contextlib.suppress(OSError):
            await pipe.write(b"unexpected string")
        pipe.close()

    def kill():
        with contextlib.suppress(ProcessLookupError):
            cmd.process.kill()

    gopark.go(kill)
    gopark.go(write)
    with pytest.raises(ExitError):
        await cmd.wait()


async def test_a_deadline_on_a_pipe():
    cmd = exec.command("cat")
    stdin, out = cmd.stdin_pipe(), cmd.stdout_pipe()
    await cmd.start()
    out.set_deadline(gopark.time.monotonic() - 1)
    with pytest.raises(TimeoutError, match="read stdout of cat: i/o timeout"):
        await out.read()
    out.set_deadline(None)
    await stdin.write(b"later")
    assert await out.read() == b"later"
    stdin.close()
    await cmd.wait()
    with pytest.raises(ClosedError):
        out.set_deadline(None)


async def test_who_reads_no_more_breaks_the_pipe():
    cmd = exec.command("true")
    with cmd.stdin_pipe() as pipe:
        await cmd.start()
        await cmd.process.wait()
        with pytest.raises(BrokenPipeError):
            await pipe.write(b"x" * BIG)
    await cmd.wait()


class Endless:
    def read(self, n):
        return b"x" * n


@pytest.mark.go("os/exec", "TestIgnorePipeErrorOnSuccess")
@pytest.mark.parametrize("stdin", [b"x" * BIG, Endless()], ids=["big", "endless"])
async def test_ignore_pipe_error_on_success(stdin):
    cmd = sh("exec <&-; echo done")
    cmd.stdin = stdin
    assert await cmd.output() == b"done\n"


@pytest.mark.go("os/exec", "TestClosePipeOnCopyError")
async def test_close_pipe_on_copy_error():
    """Or `yes` would write for ever."""

    class Bad:
        def write(self, data):
            raise OSError("copy failed")

    cmd = sh("yes; exit 0")
    cmd.stdout = Bad()
    with pytest.raises(OSError, match="copy failed"):
        await cmd.run()


@pytest.mark.go("os/exec", "TestPipeLookPathLeak")
async def test_pipe_look_path_leak():
    cmd = exec.command("something-that-does-not-exist-in-your-PATH")
    pipes = [cmd.stdin_pipe(), cmd.stdout_pipe(), cmd.stderr_pipe()]
    with pytest.raises(NotFoundError):
        await cmd.start()
    for pipe in pipes:
        assert pipe.fileno() == -1


@pytest.mark.go("os/exec", "TestStart_twice")
async def test_start_twice():
    cmd = exec.command("/bin/nonesuch")
    with pytest.raises(FileNotFoundError):
        await cmd.start()
    with pytest.raises(RuntimeError, match=r"^exec: already started"):
        await cmd.start()


@pytest.mark.go("os/exec", "TestDoubleStartLeavesPipesOpen")
async def test_double_start_leaves_pipes_open():
    cmd = exec.command("cat")
    stdin, out = cmd.stdin_pipe(), cmd.stdout_pipe()
    await cmd.start()
    with pytest.raises(RuntimeError, match="already started"):
        await cmd.start()
    await stdin.write(b"still")
    assert await out.read() == b"still"
    stdin.close()
    await cmd.wait()


async def test_a_field_is_set_once():
    cmd = exec.command("true")
    cmd.stdout = cmd.stderr = bytearray()
    with pytest.raises(ValueError, match="stdout already set"):
        cmd.stdout_pipe()
    with pytest.raises(ValueError, match="stdout already set"):
        await cmd.output()
    with pytest.raises(ValueError, match="stdout already set"):
        await cmd.combined_output()
    await cmd.run()
    with pytest.raises(RuntimeError, match="after process started"):
        cmd.stdin_pipe()


# --- how it ends ---------------------------------------------------------------------------------


@pytest.mark.go("os/exec", "TestExitStatus")
@pytest.mark.go("os/exec", "TestExitCode")
@pytest.mark.parametrize("status", [0, 1, 42, 255])
async def test_exit_status(status):
    cmd = sh(f"exit {status}")
    if status:
        with pytest.raises(ExitError, match=f"^exit status {status}$"):
            await cmd.run()
    else:
        await cmd.run()
    state = cmd.process_state
    assert (state.exit_code, state.signal, state.success) == (status, 0, status == 0)
    assert state.exited
    assert state.pid == cmd.process.pid
    assert state.user_time >= 0 <= state.system_time


@pytest.mark.go("os/exec", "TestExitCode")
async def test_exit_code__a_signal():
    cmd = sh("kill -9 $$")
    with pytest.raises(ExitError, match=r"^signal: killed$"):
        await cmd.run()
    state = cmd.process_state
    assert (state.exit_code, state.signal, state.exited) == (-1, signal.SIGKILL, False)


async def test_wait_before_start_and_twice():
    cmd = exec.command("true")
    with pytest.raises(RuntimeError, match="not started"):
        await cmd.wait()
    await cmd.run()
    with pytest.raises(RuntimeError, match="wait was already called"):
        await cmd.wait()


async def test_two_who_wait_at_once():
    cmd = exec.command("cat")
    pipe = cmd.stdin_pipe()
    await cmd.start()
    errors = []

    async def wait():
        try:
            await cmd.wait()
        except RuntimeError as exc:
            errors.append(exc)

    async with gopark.sync.errgroup.Group() as group:
        group.go(wait)
        group.go(wait)
        await gopark.gosched()
        pipe.close()
    assert len(errors) == 1


async def test_somebody_else_has_waited_for_it():
    cmd = exec.command("true")
    await cmd.start()
    os.waitpid(cmd.process.pid, 0)
    with pytest.raises(ChildProcessError, match="no child that can be waited for"):
        await cmd.wait()
    with pytest.raises(ProcessLookupError):
        cmd.process.kill()


# --- what is missing -----------------------------------------------------------------------------


@pytest.mark.go("os/exec", "TestNoExistExecutable")
async def test_no_exist_executable():
    with pytest.raises(NotFoundError, match="executable file not found") as info:
        await exec.command("no-such-program-anywhere").run()
    assert isinstance(info.value, FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        await exec.command("/no/such/program").run()


async def test_not_executable(tmp_path):
    (tmp_path / "data").write_text("data")
    with pytest.raises(PermissionError):
        await exec.command(tmp_path / "data").run()


async def test_no_such_directory():
    cmd = exec.command("true")
    cmd.dir = "/no/such/directory"
    with pytest.raises(FileNotFoundError, match="/no/such/directory") as info:
        await cmd.run()
    assert "Cmd.dir" in info.value.__notes__[0]


@pytest.mark.go("os/exec", "TestCommandRelativeName")
async def test_command_relative_name(tmp_path):
    (tmp_path / "prog").write_text("#!/bin/sh\necho relative\n")
    (tmp_path / "prog").chmod(0o755)
    cmd = exec.command("./prog")
    cmd.dir = tmp_path
    assert await cmd.output() == b"relative\n"
    cmd = exec.command("true")
    cmd.path, cmd.dir = "prog", str(tmp_path)
    assert await cmd.output() == b"relative\n"


# --- environment ---------------------------------------------------------------------------------


@pytest.mark.go("os/exec", "TestImplicitPWD")
async def test_implicit_pwd(tmp_path):
    cmd = sh("echo $PWD")
    cmd.dir = tmp_path
    assert await cmd.output() == os.fsencode(tmp_path) + b"\n"
    assert cmd.environ()["PWD"] == str(tmp_path)
    cmd = exec.command("env")
    cmd.dir = tmp_path
    cmd.env = {"A": "1"}
    assert await cmd.output() == b"A=1\n"
    cmd = exec.command("env")
    cmd.env = {}
    assert await cmd.output() == b""


@pytest.mark.go("os/exec", "TestEnvNULCharacter")
async def test_env_nul_character():
    cmd = exec.command("env")
    cmd.env = {"A": "a\0b"}
    with pytest.raises(ValueError, match="contains NUL"):
        await cmd.run()


@pytest.mark.go("os/exec", "TestString")
@pytest.mark.go("os/exec", "TestStringPathNotResolved")
def test_string():
    assert str(exec.command("/bin/echo", "a", "b c")) == "/bin/echo a b c"
    assert str(exec.command("echo", "a")) == exec.look_path("echo") + " a"
    assert str(exec.command("no-such-program-anywhere", "x")) == "no-such-program-anywhere x"
    assert repr(exec.command("/bin/echo")) == "<Cmd '/bin/echo'>"


@pytest.mark.go("os/exec", "TestExtraFiles")
async def test_extra_files():
    """Adapted: they keep their numbers. Nothing else that is open comes along."""
    look = "import os, sys; print(os.listdir('/dev/fd'), os.read(int(sys.argv[1]), 9))"
    r, w = os.pipe()
    with open(r, "rb") as file, net.listen("tcp", "127.0.0.1:0") as ln:
        os.write(w, b"extra")
        with await net.dial("tcp", ln.addr), await ln.accept():
            cmd = exec.command(sys.executable, "-c", look, str(r))
            cmd.extra_files = [file]
            out = await cmd.output()
        os.close(w)
    listed = {"0", "1", "2", str(r)}
    numbers, _, read = out.decode().partition("] ")
    assert read == "b'extra'\n"
    assert len(set(re.findall("[0-9]+", numbers)) - listed) == 1  # the folder that is listed


async def test_sys_proc_attr():
    cmd = exec.command("sh", "-c", "ps -o sid= -p $$ 2>/dev/null || echo $$")
    cmd.sys_proc_attr = {"start_new_session": True}
    cmd.stdout = out = bytearray()
    await cmd.run()
    assert int(out) == cmd.process.pid


# --- who runs it ---------------------------------------------------------------------------------


def test_plain_functions_and_threads_of_others(run):
    got = []

    def plain(done):
        got.append(gopark.block(exec.command("echo", "plain").output()))
        gopark.block(done.send(None))

    async def main():
        done = gopark.Chan()
        gopark.go(plain, done)
        thread = threading.Thread(target=plain, args=(done,))
        thread.start()
        await done.recv()
        await done.recv()
        gopark.cgo.call(thread.join)

    run(main, outside_help=True)
    assert got == [b"plain\n"] * 2


def test_a_callback_of_c(run):
    got = []

    @gopark.cgo.callback
    def callback():
        got.append(gopark.block(exec.command("echo", "called").output()))

    async def main():
        gopark.cgo.call(callback)

    run(main)
    assert got == [b"called\n"]


@pytest.mark.go("os/exec", "TestConcurrentExec")
async def test_concurrent_exec(procs):

    async def one(n):
        cmd = exec.command("cat")
        cmd.stdin = b"%d" % n * 1000
        assert await cmd.output() == b"%d" % n * 1000

    async with gopark.sync.errgroup.Group() as group:
        for n in range(20):
            group.go(one, n)


async def test_the_dump_says_io_wait(waiting):
    cmd = exec.command("cat")
    pipe = cmd.stdin_pipe()
    await cmd.start()
    gopark.go(cmd.wait)
    if waiting != "thread":
        await gopark.testing.wait_all_parked()
        assert "[IO wait]" in gopark.runtime.stack(all=True)
    pipe.close()
    await cmd.process.wait()
