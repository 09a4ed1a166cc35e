"""A program that writes a CPU profile and says where. Go: testprog/timeprof.go."""

import tempfile
import time

import gopark
from gopark._runtime.prof import cpuprof
from registry import register


def readclock() -> None:
    """Until the profile has met it: a busy machine lets nobody look at the right moment."""
    profiler = cpuprof._profiler
    assert profiler is not None
    while sum(list(profiler.samples.values())) < 5:
        for _ in range(1000):
            time.thread_time()


@register("TimeProf")
async def time_prof() -> None:
    with tempfile.NamedTemporaryFile(prefix="timeprof", delete=False) as file:
        gopark.pprof.start_cpu_profile(file)
        readclock()
        gopark.pprof.stop_cpu_profile()
    print(file.name)
