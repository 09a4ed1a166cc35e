"""How many Ps there are: `gomaxprocs`, `num_cpu`, and the default.

The default is 1 where the GIL lets only one thread run Python anyway, else the CPUs that
this process may use (affinity and cgroup quota counted); `GOMAXPROCS` in the environment
wins. A change takes effect at once: new Ps are idle ones, and of a P that goes away the
queue moves to the global one while its M, Ps being advisory, goes on to its next
scheduling point. The default follows affinity and quota until somebody sets a number; sysmon
looks once a second (`update`); with the GIL the default is always 1.

Source: Go 1.27 runtime/proc.go (procresize, sysmonUpdateGOMAXPROCS), debug.go.
Tests: tests/runtime/test_gomaxprocs.py, tests/conformance/scheduler
"""

from __future__ import annotations

import os
import sys
from math import ceil
from typing import Final

from gopark._runtime.base.cgroup import cpulimit
from gopark._runtime.base.errors import ProgramEnded
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.lockrank import debugvar
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import Gone, P, Sched, getg
from gopark._runtime.sched import startm
from gopark._runtime.sched.runq import strayed
from gopark._runtime.sched.startm import pidleput, wakep, wakepoller

__all__ = ("gomaxprocs", "num_cpu", "set_default_gomaxprocs", "set_max_threads")

_MAX: Final = 1 << 10
_root = "/"  # of the file system; tests have one of their own
_custom: Final[list[bool]] = []  # not empty: the number was set, and is not the default's any more


def num_cpu() -> int:
    """The number of CPUs that this process may run on.

    Example:
        >>> gopark.runtime.num_cpu() >= 1
        True

    Go: runtime.NumCPU.
    """
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def gomaxprocs(n: int = 0) -> int:
    """How many threads may run goroutines at the same time; sets it if `n` is positive.

    A number that was set stays; `set_default_gomaxprocs` goes back to the default.

    Args:
        n: The new number; zero or less changes nothing.
    Returns:
        The number before the call.
    Raises:
        TypeError: `n` is not an integer.
        ValueError: `n` is more than 1024.
    Example:
        >>> before = gopark.runtime.gomaxprocs(2)
        >>> gopark.runtime.gomaxprocs(before)
        2

    Go: runtime.GOMAXPROCS.
    """
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"gomaxprocs: n must be an integer, got {shown(n)}")
    if n > _MAX:
        raise ValueError(f"gomaxprocs: n must be at most {_MAX}, got {shown(n)}")
    before = startm.gomaxprocs()
    if n > 0:
        _custom[:] = [True]
        if n != before:
            _resize(n)
    return before


def _resize(n: int) -> None:
    startm.setgomaxprocs(n)
    sched = startm.current()
    if sched is not None:
        procresize(sched)


def set_max_threads(n: int) -> int:
    """Limit the threads that a program may have; one that needs more dies.

    A guard against a program that makes threads without end: goroutines that block their
    thread take one each. Threads of C that have called in count, sysmon does not.

    Args:
        n: The new limit. It is 10,000 at the start.
    Returns:
        The limit before the call.
    Raises:
        TypeError: `n` is not an integer.
        ValueError: `n` is less than 1.
        FatalError: the program has more threads than `n` already; it ends.
    Example:
        >>> before = gopark.runtime.set_max_threads(500)
        >>> gopark.runtime.set_max_threads(before)
        500

    Go: debug.SetMaxThreads.
    """
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"set_max_threads: n must be an integer, got {shown(n)}")
    if n < 1:
        raise ValueError(f"set_max_threads: n must be at least 1, got {shown(n)}")
    before = startm.maxthreads()
    startm.setmaxthreads(n)
    sched = startm.current()
    if sched is not None:
        startm.checkmcount(sched)
        if sched.ended and sched.fatal is not None:
            raise sched.fatal.again() if getg() is sched.main else ProgramEnded
    return before


def procresize(sched: Sched) -> None:
    """Give a running program as many Ps as it is to have by now."""
    with sched.lock:
        n = startm.gomaxprocs()  # read here: of two changes at once the later one stays
        old = len(sched.allp)
        for pid in range(old, n):
            p = P(pid, sched)
            sched.allp.append(p)
            pidleput(sched, p)
        sched.maxhogs = n
        gone = sched.allp[n:]
        for p in gone:
            p.near = Gone()  # first: who finds the P gone and drains it must not be the last
        del sched.allp[n:]
        for p in gone:
            if p in sched.pidle:
                sched.pidle.remove(p)
                sched.npidle -= 1
            elif (m := p.m) is not None and m.p is p:  # p.m may be who had it before
                m.p = None
                p.m = None
    for p in gone:
        strayed(p)
    if sched.runq:
        wakep(sched)
    wakepoller(sched)  # whoever was to look at the timers may have no P any more


def set_default_gomaxprocs() -> None:
    """Go back to the default number, as it is now, and have it follow changes again.

    The environment variable `GOMAXPROCS` does not count here. On a build without the GIL the
    number follows the affinity of the process and the quota of its control group, looked at
    once a second while the program does something, until `gomaxprocs` sets another one.

    Example:
        >>> before = gopark.runtime.gomaxprocs(4)
        >>> gopark.runtime.set_default_gomaxprocs()
        >>> gopark.runtime.gomaxprocs() >= 1
        True

    Go: runtime.SetDefaultGOMAXPROCS.
    """
    _custom.clear()
    _resize(default())


def default() -> int:
    """GOMAXPROCS where nobody has said otherwise."""
    gil = getattr(sys, "_is_gil_enabled", None)
    if gil is None or gil():
        return 1
    cpus = num_cpu()
    limit = None if debugvar("containermaxprocs") == "0" else cpulimit(_root)
    return cpus if limit is None else min(cpus, max(2, ceil(limit)))  # at least 2, as Go does


def update() -> None:
    """The default may have changed: follow it. Called by sysmon. Go: sysmonUpdateGOMAXPROCS."""
    if not _custom and debugvar("updatemaxprocs") != "0":
        n = default()
        if n != startm.gomaxprocs() and not _custom:
            _resize(n)


def _init() -> None:
    """GOMAXPROCS in the environment is as good as a call."""
    text = os.environ.get("GOMAXPROCS", "")
    if text.isdigit() and 0 < int(text) <= _MAX:
        _custom.append(True)
        startm.setgomaxprocs(int(text))
    else:
        startm.setgomaxprocs(default())


_init()
hooks.updateprocs = update
