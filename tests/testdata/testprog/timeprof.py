"""A program that writes a CPU profile and says where. Go: testprog/timeprof.go."""

import tempfile
import time

import gopark
from registry import register


def readclock() -> None:
    end = time.thread_time() + 0.1  # of this thread: a busy machine gives it little of a second
    while time.thread_time() < end:
        pass


@register("TimeProf")
async def time_prof() -> None:
    with tempfile.NamedTemporaryFile(prefix="timeprof", delete=False) as file:
        gopark.pprof.start_cpu_profile(file)
        readclock()
        gopark.pprof.stop_cpu_profile()
    print(file.name)
