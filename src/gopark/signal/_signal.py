"""Who listens for which signal: what a program calls. The work is done in sigqueue.py.

Source: Go 1.27 os/signal/signal.go. Differs: `reset` undoes `ignore` as well.
Tests: tests/test_signal.py
"""

from __future__ import annotations

import signal

from gopark._runtime.base.printstring import shown
from gopark._runtime.chan.chan import Chan
from gopark._runtime.signal.sigqueue import (
    CATCHABLE,
    IGNORABLE,
    OURS,
    VALID,
    Channel,
    queue,
    running,
)

__all__ = ("ignore", "ignored", "notify", "reset", "stop")


def notify(ch: Channel, *sigs: int) -> None:
    """Have the signals sent to a channel from now on, and not do what else they do.

    A signal that finds the channel full is dropped for it: give it room for as many as may
    come before somebody receives; for one signal, 1 is enough. A further call for the same
    channel adds to its signals.

    Args:
        ch: Gets each as a `signal.Signals`.
        sigs: Numbers, as in the module `signal` of the standard library; none: all signals.
            What no program can catch (SIGKILL, SIGSTOP, a failed instruction), and numbers
            that no signal has, are accepted and never come.
    Raises:
        TypeError: `ch` is not a channel, or one of `sigs` is not a number.
        RuntimeError: `gopark.run` is not active in the main thread.
    Example:
        >>> import os, signal
        >>> async def main():
        ...     ch = gopark.Chan[signal.Signals](1)
        ...     gopark.signal.notify(ch, signal.SIGHUP, signal.SIGTERM)
        ...     os.kill(os.getpid(), signal.SIGHUP)
        ...     print((await ch.recv()).name)
        >>> gopark.run(main)
        SIGHUP

    Go: signal.Notify.
    """
    _checkchan("notify", ch)
    add = _numbers("notify", sigs, CATCHABLE)
    q = queue("notify")
    if add:
        q.listen(ch, add)


def stop(ch: Channel) -> None:
    """Send no more signals to the channel. When this returns it gets none any more.

    A signal that nobody else listens for does again what it did before. One that comes at
    this very moment is either sent to the channel or does that.

    Raises:
        TypeError: `ch` is not a channel.
    Example:
        >>> import signal
        >>> async def main():
        ...     ch = gopark.Chan[signal.Signals](1)
        ...     gopark.signal.notify(ch, signal.SIGHUP)
        ...     gopark.signal.stop(ch)
        ...     ch.close()
        >>> gopark.run(main)

    Go: signal.Stop.
    """
    _checkchan("stop", ch)
    q = running()
    if q is not None:
        q.unlisten(ch)


def ignore(*sigs: int) -> None:
    """Have the signals do nothing, whoever listened for them; child processes inherit that.

    Args:
        sigs: Numbers; none: all signals.
    Raises:
        TypeError: one of `sigs` is not a number.
        RuntimeError: `gopark.run` is not active in the main thread.
    Example:
        >>> import signal
        >>> async def main():
        ...     gopark.signal.ignore(signal.SIGHUP)
        ...     print(gopark.signal.ignored(signal.SIGHUP))
        >>> gopark.run(main)
        True

    Go: signal.Ignore.
    """
    numbers = _numbers("ignore", sigs, IGNORABLE if sigs else CATCHABLE)
    queue("ignore").cancel(numbers, ignore=True)


def reset(*sigs: int) -> None:
    """Undo `notify` and `ignore` for the signals: they do again what they did before.

    Args:
        sigs: Numbers; none: all signals.
    Raises:
        TypeError: one of `sigs` is not a number.
        RuntimeError: `gopark.run` is not active in the main thread.
    Example:
        >>> import signal
        >>> async def main():
        ...     gopark.signal.ignore(signal.SIGHUP)
        ...     gopark.signal.reset(signal.SIGHUP)
        ...     print(gopark.signal.ignored(signal.SIGHUP))
        >>> gopark.run(main)
        False

    Go: signal.Reset, which leaves ignored what `Ignore` ignored.
    """
    numbers = _numbers("reset", sigs, VALID)
    queue("reset").cancel(numbers, ignore=False)


def ignored(sig: int) -> bool:
    """Whether a signal would be ignored now; Python ignores SIGPIPE from the start.

    Raises:
        TypeError: `sig` is not a number.
    Example:
        >>> import signal
        >>> gopark.signal.ignored(signal.SIGTERM), gopark.signal.ignored(signal.SIGPIPE)
        (False, True)

    Go: signal.Ignored.
    """
    numbers = _numbers("ignored", (sig,), VALID)
    q = running()
    if q is not None and numbers & OURS:
        return sig in q.ignoring
    return any(signal.getsignal(n) is signal.SIG_IGN for n in numbers)


def _checkchan(who: str, ch: object) -> None:
    if isinstance(ch, Chan):
        return
    nil = f"os/signal: {who.capitalize()} using nil channel: " if ch is None else ""
    raise TypeError(f"{nil}{who}() needs a channel, got {shown(ch)}: {who}(gopark.Chan(1), ...)")


def _numbers(who: str, sigs: tuple[int, ...], all_: frozenset[int]) -> frozenset[int]:
    """Those of `sigs` that something can be done about; all if there are none."""
    signals(who, sigs)
    return all_.intersection(sigs) if sigs else all_


def signals(who: str, sigs: tuple[int, ...]) -> None:
    """Raise TypeError unless all are numbers."""
    for sig in sigs:
        if not isinstance(sig, int) or isinstance(sig, bool):
            raise TypeError(f"{who}() needs signal numbers, got {shown(sig)}: signal.SIGTERM")
