"""Children and the ends of contexts: `cancel`, `wait_delay`. After Go's os/exec/exec_test.go."""

from __future__ import annotations

import os
import signal

import pytest

import gopark
from gopark import context, exec, net
from gopark.exec import ExitError, WaitDelayError
from gopark.testing import synctest

SOON = 0.01
LATE = 600.0
# Says that it is ready, then writes nothing more, and does not end by itself.
READY = "echo ready; exec sleep 600"
DEAF = "trap '' INT TERM; echo ready; while :; do sleep 0.05; done"


async def started(cmd):
    """The child runs, and has set up what it wants to."""
    out = cmd.stdout_pipe()
    await cmd.start()
    assert await net.Reader(out).read_line() == b"ready"
    return out


@pytest.mark.go("os/exec", "TestContext")
async def test_context():
    ctx, cancel = context.with_cancel(context.background())
    cmd = exec.command_context(ctx, "sh", "-c", READY)
    await started(cmd)
    cancel()
    with pytest.raises(ExitError, match=r"^signal: killed$") as info:
        await cmd.wait()
    assert isinstance(info.value.__cause__, context.Canceled)
    assert cmd.process_state.signal == signal.SIGKILL


@pytest.mark.go("os/exec", "TestContextCancel")
async def test_context_cancel():
    ctx, cancel = context.with_cancel(context.background())
    cmd = exec.command_context(ctx, "cat")
    stdin, out = cmd.stdin_pipe(), cmd.stdout_pipe()
    await cmd.start()
    await stdin.write(b"echo")
    assert await out.read() == b"echo"
    cancel()
    await cmd.process.wait()
    with pytest.raises(BrokenPipeError):
        await stdin.write(b"echo")
    with pytest.raises(ExitError, match="killed"):
        await cmd.wait()


async def test_a_context_that_is_done_starts_nothing():
    ctx, cancel = context.with_cancel(context.background())
    cancel()
    cmd = exec.command_context(ctx, "cat")
    pipe = cmd.stdin_pipe()
    with pytest.raises(context.Canceled):
        await cmd.run()
    assert cmd.process is None
    assert pipe.fileno() == -1


async def test_a_context_that_is_not_done_changes_nothing(alone):
    ctx, cancel = context.with_cancel(context.background())
    cmd = exec.command_context(ctx, "echo", "hello")
    assert await cmd.output() == b"hello\n"
    cancel()
    await alone()


async def test_no_cancel_without_a_context():
    """Go: Cmd.Start, "command with a non-nil Cancel was not created with CommandContext"."""
    cmd = exec.command("true")
    cmd.cancel = lambda: None
    with pytest.raises(RuntimeError, match="was not created with command_context"):
        await cmd.start()


@pytest.mark.parametrize("ctx", [None, "ctx", context.with_cancel(context.background())])
def test_what_is_no_context(ctx):
    with pytest.raises(TypeError, match="needs a context"):
        exec.command_context(ctx, "true")


@pytest.mark.go("os/exec", "TestWaitInterrupt")
async def test_wait_interrupt__it_is_asked_nicely():
    ctx, cancel = context.with_cancel(context.background())
    cmd = exec.command_context(
        ctx, "sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done"
    )
    asked = []

    async def nicely():
        asked.append(True)
        cmd.process.signal(signal.SIGTERM)

    cmd.cancel = nicely
    cmd.wait_delay = LATE
    await started(cmd)
    cancel()
    with pytest.raises(context.Canceled):  # it ended well, and the caller is told of the end
        await cmd.wait()
    assert asked == [True]
    assert cmd.process_state.success


@pytest.mark.go("os/exec", "TestWaitInterrupt")
async def test_wait_interrupt__who_does_not_listen_is_killed():
    ctx, cancel = context.with_cancel(context.background())
    cmd = exec.command_context(ctx, "sh", "-c", DEAF)
    cmd.cancel = lambda: cmd.process.signal(signal.SIGTERM)
    cmd.wait_delay = SOON
    await started(cmd)
    cancel()
    with pytest.raises(ExitError, match=r"^signal: killed$"):
        await cmd.wait()


@pytest.mark.go("os/exec", "TestWaitInterrupt")
async def test_wait_interrupt__a_grandchild_holds_the_pipes():
    """The child has ended well."""
    cmd = exec.command("sh", "-c", "echo out; sleep 600 & echo $! >&2")
    cmd.stderr = pid = bytearray()
    cmd.wait_delay = SOON
    with pytest.raises(WaitDelayError, match="holds its pipes open") as info:
        await cmd.output()
    assert info.value.stdout == b"out\n"
    assert cmd.process_state.success
    os.kill(int(pid), signal.SIGKILL)


@pytest.mark.go("os/exec", "TestWaitInterrupt")
async def test_wait_interrupt__a_grandchild_of_a_killed_child():
    ctx, cancel = context.with_cancel(context.background())
    cmd = exec.command_context(
        ctx, "sh", "-c", "sleep 600 & echo $!; trap '' TERM; wait; sleep 600"
    )
    cmd.wait_delay = SOON
    came = gopark.Chan(1)

    class Out:
        async def write(self, data):
            await came.send(data)

    cmd.stdout = Out()
    await cmd.start()
    pid = int(await came.recv())
    cancel()
    with pytest.raises(ExitError, match=r"^signal: killed$"):
        await cmd.wait()
    os.kill(pid, signal.SIGKILL)


async def test_an_input_that_never_comes_holds_nobody_up_after_the_delay():
    """Go: Cmd.WaitDelay, which says so."""
    never = gopark.Chan()

    class Never:
        async def read(self, n):
            await never.recv_ok()
            return b""

    cmd = exec.command("true")
    cmd.stdin = Never()
    cmd.wait_delay = SOON
    with pytest.raises(WaitDelayError):
        await cmd.run()
    never.close()


# --- what cancel raises --------------------------------------------------------------------------


@pytest.mark.go("os/exec", "TestCancelErrors")
async def test_cancel_errors__success_after_an_error():
    ctx, cancel = context.with_cancel(context.background())
    cmd = exec.command_context(ctx, "cat")
    stdin = cmd.stdin_pipe()
    called = gopark.Chan(1)

    async def fail():
        await called.send(None)
        raise OSError("could not")

    cmd.cancel = fail
    await cmd.start()
    cancel()
    await called.recv()
    stdin.close()
    with pytest.raises(OSError, match="could not") as info:
        await cmd.wait()
    assert info.value.__notes__ == ["exec: canceling Cmd"]


@pytest.mark.go("os/exec", "TestCancelErrors")
async def test_cancel_errors__success_after_it_had_ended():
    ctx, cancel = context.with_cancel(context.background())
    cmd = exec.command_context(ctx, "cat")
    stdin = cmd.stdin_pipe()
    called = gopark.Chan(1)

    async def done():
        await called.send(None)
        raise ProcessLookupError

    cmd.cancel = done
    await cmd.start()
    cancel()
    await called.recv()
    stdin.close()
    await cmd.wait()


@pytest.mark.go("os/exec", "TestCancelErrors")
async def test_cancel_errors__killed_after_an_error():
    ctx, cancel = context.with_cancel(context.background())
    cmd = exec.command_context(ctx, "sh", "-c", READY)
    await started(cmd)
    cmd2 = exec.command_context(ctx, "sh", "-c", READY)

    def fail():
        raise OSError("could not")

    cmd2.cancel, cmd2.wait_delay = fail, SOON
    await started(cmd2)
    cancel()
    for one in (cmd, cmd2):
        with pytest.raises(ExitError, match="killed") as info:
            await one.wait()
    assert str(info.value.__cause__) == "could not"


@pytest.mark.go("os/exec", "TestCancelErrors")
async def test_cancel_errors__killed_after_a_delay():
    ctx, cancel = context.with_cancel(context.background())
    cmd = exec.command_context(ctx, "sh", "-c", READY)

    def done():
        raise ProcessLookupError

    cmd.cancel, cmd.wait_delay = done, SOON
    await started(cmd)
    cancel()
    with pytest.raises(ExitError, match="killed"):
        await cmd.wait()


async def test_a_delay_without_cancel():
    """Go: Cmd.Cancel nil, and WaitDelay."""
    ctx, cancel = context.with_cancel(context.background())
    cmd = exec.command_context(ctx, "sh", "-c", READY)
    cmd.cancel, cmd.wait_delay = None, SOON
    await started(cmd)
    cancel()
    with pytest.raises(ExitError, match="killed"):
        await cmd.wait()


# --- bubbles -------------------------------------------------------------------------------------


def test_waiting_for_a_child_is_not_durably_blocked(run):
    """The clock of the bubble stands still while a child runs: somebody outside it may go on."""

    async def main():
        before = gopark.time.monotonic()
        assert await exec.command("sh", "-c", "sleep 0.05; echo hello").output() == b"hello\n"
        assert gopark.time.monotonic() == before
        ctx, cancel = context.with_timeout(context.background(), 3600.0)
        await exec.command_context(ctx, "sleep", "0.05").run()
        assert gopark.time.monotonic() == before
        cancel()

    run(synctest.test, main)
