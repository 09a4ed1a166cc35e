"""Programs that get signals. Go: os/signal/signal_test.go, testprog/signal.go, testprognet."""

import os
import signal
import subprocess
import sys
import time
from signal import SIGHUP, SIGINT, SIGSEGV, SIGTERM, SIGTRAP, SIGUSR1, SIGWINCH

import gopark
from gopark import Chan, block
from gopark.signal import ignore, ignored, notify, notify_context, stop
from registry import register

SETTLE = 0.1  # seconds in which a signal that has been sent shows its effect


def kill(signum: int) -> None:
    os.kill(os.getpid(), signum)


@register("SignalExitStatus")
async def signal_exit_status() -> None:
    kill(SIGTERM)
    await gopark.time.sleep(1)


@register("SignalBogus")
async def signal_bogus() -> None:
    ch = Chan[signal.Signals](1)
    notify(ch, 0xDEAD)
    stop(ch)
    print("OK")


@register("SignalIgnoreSIGTRAP")
async def signal_ignore_sigtrap() -> None:
    ignore(SIGTRAP)
    kill(SIGTRAP)
    await gopark.time.sleep(SETTLE)
    print("OK")


@register("Nop")
async def nop() -> None:
    """The trivial child."""


@register("SignalDuringExec")
def signal_during_exec() -> None:
    """Itself once more, in a process group of its own, so that the group may be signalled."""
    command = [sys.executable, sys.argv[0], "SignalDuringExecPgrp"]
    block_in_c = gopark.cgo.call
    status = block_in_c(subprocess.Popen(command, process_group=0).wait)
    assert status == 0, status


@register("SignalDuringExecPgrp")
async def signal_during_exec_pgrp() -> None:
    tries = 10
    ch = Chan[signal.Signals](tries)
    notify(ch, SIGWINCH)
    drained, ended = Chan[int](), Chan[int]()

    async def drain() -> None:
        await drained.send(len([s async for s in ch]))

    def child(n: int) -> None:
        # Most of them as trivial as a child can be; Python takes long to start.
        command = [sys.executable, sys.argv[0], "Nop"] if n < 2 else ["/bin/true"]
        block(ended.send(subprocess.run(command).returncode))

    async def winch() -> None:
        os.killpg(0, SIGWINCH)
        await ended.send(0)

    gopark.go(drain)
    for n in range(tries):
        gopark.go(child, n)
        gopark.go(winch)
    assert [await ended.recv() for _ in range(2 * tries)] == [0] * 2 * tries
    stop(ch)
    ch.close()
    assert (await drained.recv() or 0) > 0
    print("OK")


@register("Segv")
async def segv() -> None:
    gopark.go(spin)
    kill(SIGSEGV)
    await Chan().recv()


@register("TgkillSegv")
async def tgkill_segv() -> None:
    gopark.go(spin)
    signal.raise_signal(SIGSEGV)
    await Chan().recv()


def spin() -> None:
    while True:
        sum(range(100))


# --- os/signal ------------------------------------------------------------------------------------


@register("IsSighupIgnored")
async def is_sighup_ignored() -> None:
    sys.exit(0 if ignored(SIGHUP) else 1)


@register("UncaughtSighup1")
async def uncaught_sighup_before() -> None:
    await uncaught_sighup(1)


@register("UncaughtSighup2")
async def uncaught_sighup_after() -> None:
    await uncaught_sighup(2)


async def uncaught_sighup(when: int) -> None:
    """A SIGHUP without a listener, before `notify` or after `stop`; in between one is caught."""
    if when == 1:
        kill(SIGHUP)
        await gopark.time.sleep(SETTLE)
    ch = Chan[signal.Signals](1)
    notify(ch, SIGHUP)
    kill(SIGHUP)
    print(await ch.recv() == SIGHUP, flush=True)
    stop(ch)
    if when == 2:
        kill(SIGHUP)
        await gopark.time.sleep(SETTLE)
        assert len(ch) == 0
    print("survived")


@register("AtomicStopSIGINT")
async def atomic_stop_sigint() -> None:
    await atomic_stop(SIGINT)


@register("AtomicStopSIGUSR1")
async def atomic_stop_sigusr1() -> None:
    await atomic_stop(SIGUSR1)


async def atomic_stop(signum: int) -> None:
    """A signal that races with `stop` is either delivered or ends the process."""
    for n in range(10):
        ch = Chan[signal.Signals](1)
        notify(ch, signum)
        stopped = Chan[None]()

        def stops(ch: Chan[signal.Signals] = ch, stopped: Chan[None] = stopped) -> None:
            stop(ch)
            stopped.close()

        gopark.go(stops)
        if n % 2:
            await gopark.gosched()
        kill(signum)
        index, _, _ = await gopark.select(gopark.recv(ch), gopark.recv(gopark.time.after(2)))
        if index == 1:
            print("lost signal on try", n)
        await stopped.recv()


@register("NotifyContextNotifications1")
async def notify_context_once() -> None:
    await notify_context_notifications(1)


@register("NotifyContextNotifications10")
async def notify_context_ten_times() -> None:
    await notify_context_notifications(10)


async def notify_context_notifications(times: int) -> None:
    """All but the first signal do nothing, and nobody is killed, until `stop` is called."""
    ctx, _ = notify_context(gopark.context.background(), SIGINT)
    sent = Chan[None](times)

    def send() -> None:
        kill(SIGINT)
        block(sent.send(None))

    for _ in range(times):
        gopark.go(send)
    for _ in range(times):
        await sent.recv()
    done = ctx.done()
    assert done is not None
    await done.recv()
    print(gopark.context.cause(ctx))
    await gopark.time.sleep(SETTLE)
    print("received SIGINT")


@register("ExampleNotify")
async def example_notify() -> None:
    ch = Chan[signal.Signals](1)
    notify(ch, SIGINT)
    print("ready", flush=True)
    print("Got signal:", (await ch.recv()).name)  # type: ignore[union-attr]


@register("ExampleNotifyAllSignals")
async def example_notify_all_signals() -> None:
    ch = Chan[signal.Signals](1)
    notify(ch)
    print("ready", flush=True)
    print("Got signal:", (await ch.recv()).name)  # type: ignore[union-attr]


@register("ExampleNotifyContext")
async def example_notify_context() -> None:
    never = Chan[None]()
    with notify_context(gopark.context.background(), SIGINT) as ctx:
        kill(SIGINT)
        index, _, _ = await gopark.select(gopark.recv(never), gopark.recv(ctx.done()))
        assert index == 1
        print(ctx.err())


@register("TerminalSignal")
def terminal_signal() -> None:
    """Read a line from the terminal, through being stopped and going on."""
    print("ready", flush=True)
    got = gopark.cgo.call(os.read, 0, 100)
    print("read", got, flush=True)


@register("TerminalSignalLeader", run=False)
def terminal_signal_leader() -> None:
    """The leader of the session: takes the terminal while its child is stopped, gives it back."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, sys.argv[0], "TerminalSignal"], process_group=0)
    os.tcsetpgrp(0, child.pid)
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), status
    os.tcsetpgrp(0, os.getpgrp())
    time.sleep(0.01)
    os.tcsetpgrp(0, child.pid)
    print("stopped", flush=True)
    os.kill(child.pid, signal.SIGCONT)
    sys.exit(child.wait())
