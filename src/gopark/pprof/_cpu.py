"""Starting and stopping the CPU profile, and writing it.

Locks: none; those of `_runtime.cpuprof` say who has started a profile.
Source: Go 1.27 runtime/pprof/pprof.go. Tests: tests/pprof/test_cpu.py
"""

from __future__ import annotations

from typing import IO, Any

from gopark._runtime.base.printstring import shown
from gopark._runtime.prof import cpuprof
from gopark._util import integer
from gopark.pprof._profile import nanoseconds, refusetext, writebytes
from gopark.pprof._proto import Builder

__all__ = ("start_cpu_profile", "stop_cpu_profile")


def start_cpu_profile(file: IO[Any], rate: int = 100) -> None:
    """Begin to sample which goroutine uses the CPU, where, and under which labels.

    Args:
        file: Takes bytes. The profile is written to it by `stop_cpu_profile`.
        rate: Samples for each second of CPU time, 1 to 1000.
    Raises:
        RuntimeError: a profile is being taken already, or the system cannot tell how much CPU
            time a thread has used.
        TypeError: `file` takes text, or `rate` is not an integer.
        ValueError: `rate` is out of range.
    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> gopark.pprof.start_cpu_profile(file)
        >>> gopark.pprof.stop_cpu_profile()
        >>> file.getvalue()[:2]  # compressed by gzip
        b'\\x1f\\x8b'

    Go: runtime/pprof.StartCPUProfile.
    """
    refusetext("start_cpu_profile", file)
    integer("start_cpu_profile", "rate", rate)
    if not 1 <= rate <= cpuprof.MAXRATE:
        raise ValueError(
            f"start_cpu_profile: rate is 1 to {cpuprof.MAXRATE} samples, got {shown(rate)}"
        )
    cpuprof.start(rate, file)


def stop_cpu_profile() -> None:
    """End the CPU profile and write it; without one, nothing happens.

    Example:
        >>> gopark.pprof.stop_cpu_profile()

    Go: runtime/pprof.StopCPUProfile.
    """
    profiler = cpuprof.stop()
    if profiler is None:
        return
    kinds = [("samples", "count"), ("cpu", "nanoseconds")]
    builder = Builder(kinds, kinds[1], round(profiler.period * 1e9))
    for record in profiler.records():
        builder.sample((record.times, nanoseconds(record)), record.stack, record.labels)
    writebytes(profiler.file, builder.finish(profiler.began, profiler.lasted))
    if profiler.failed is not None:
        raise profiler.failed
