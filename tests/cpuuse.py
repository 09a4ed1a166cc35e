"""Use of the processor that a CPU profile sees, on whatever machine.

How often a profile looks depends on the load of the machine, and how much of a goroutine it meets
on how often it looks. So who is to be in it computes until it is there, by processor time.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from types import TracebackType

from gopark import pprof
from gopark._runtime.prof import cpuprof
from gopark._runtime.report.stackdump import Names
from protoreader import Profile, read

__all__ = ("GIVE_UP", "places", "profiled", "seen", "spin", "until_seen")

GIVE_UP = 60.0  # seconds of a thread's processor time


class profiled:
    """A CPU profile of a block: `profile` afterwards, and the seconds that the process `used`."""

    profile: Profile
    used: float

    def __init__(self, rate: int = 100) -> None:
        self.rate = rate

    def __enter__(self) -> profiled:
        self._file = io.BytesIO()
        self._began = time.process_time()
        pprof.start_cpu_profile(self._file, self.rate)
        return self

    def __exit__(
        self, cls: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        pprof.stop_cpu_profile()
        self.used = time.process_time() - self._began
        self.profile = read(self._file.getvalue())


def spin(seconds: float) -> None:
    """Use so much time of this thread's CPU."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def places() -> Iterator[tuple[tuple[str, ...], dict[str, str], float]]:
    """What the profile under way has so far: functions, the innermost first, labels, seconds."""
    profiler = cpuprof._profiler
    assert profiler is not None
    for (place, labels), times in list(profiler.samples.items()):
        stack = place.stack(_NAMES) if isinstance(place, cpuprof.Dumped) else place
        yield tuple(name for name, _, _ in stack), dict(labels), times * profiler.period


_NAMES = Names()


def seen(function: str, labels: dict[str, str] | None = None) -> float:
    """Seconds that it puts down to functions of that ending; with just these labels."""
    return sum(
        seconds
        for stack, found, seconds in places()
        if labels in (None, found) and any(name.endswith(f".{function}") for name in stack)
    )


def until_seen(
    function: str, seconds: float = 0.1, labels: dict[str, str] | None = None, step: float = 0.01
) -> float:
    """Use the CPU, in that function, until the profile shows so much of it: how much that took."""
    began = time.thread_time()
    while seen(function, labels) < seconds:
        spin(step)
        assert time.thread_time() - began < GIVE_UP, f"{function} is not in the profile"
    return time.thread_time() - began
