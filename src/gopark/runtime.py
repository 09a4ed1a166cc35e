"""Looking at and steering the scheduler. Go: package runtime."""

from gopark._runtime.c.cgocall import num_cgo_call as num_cgo_call
from gopark._runtime.prof.goid import LogFilter as LogFilter
from gopark._runtime.prof.goid import goid as goid
from gopark._runtime.prof.mprof import set_block_profile_rate as set_block_profile_rate
from gopark._runtime.prof.mprof import set_mutex_profile_fraction as set_mutex_profile_fraction
from gopark._runtime.report.traceback import num_goroutine as num_goroutine
from gopark._runtime.report.traceback import stack as stack
from gopark._runtime.sched.gomaxprocs import gomaxprocs as gomaxprocs
from gopark._runtime.sched.gomaxprocs import num_cpu as num_cpu
from gopark._runtime.sched.gomaxprocs import set_default_gomaxprocs as set_default_gomaxprocs
from gopark._runtime.sched.gomaxprocs import set_max_threads as set_max_threads
from gopark._runtime.sched.lockosthread import lock_os_thread as lock_os_thread
from gopark._runtime.sched.lockosthread import unlock_os_thread as unlock_os_thread
from gopark._util import set_public_module

__all__ = (
    "LogFilter",
    "goid",
    "gomaxprocs",
    "lock_os_thread",
    "num_cgo_call",
    "num_cpu",
    "num_goroutine",
    "set_block_profile_rate",
    "set_default_gomaxprocs",
    "set_max_threads",
    "set_mutex_profile_fraction",
    "stack",
    "unlock_os_thread",
)

set_public_module(__name__, globals())
