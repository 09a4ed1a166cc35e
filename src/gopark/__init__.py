"""Go's goroutine scheduler for Python: goroutines, channels, select, C threads that call in.

`_runtime` is the engine; this package gathers the everyday names, and the modules beside it
(`runtime`, `cgo`, `time`, `signal`, `debug`, `testing`) the rest.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from gopark import _interpreter as _interpreter
from gopark import cgo as cgo
from gopark import context as context
from gopark import debug as debug
from gopark import metrics as metrics
from gopark import pprof as pprof
from gopark import runtime as runtime
from gopark import signal as signal
from gopark import sync as sync
from gopark import testing as testing
from gopark import time as time
from gopark import trace as trace
from gopark._later import later as _later
from gopark._runtime.base.errors import ClosedChannelError as ClosedChannelError
from gopark._runtime.base.errors import DeadlockError as DeadlockError
from gopark._runtime.base.errors import FatalError as FatalError
from gopark._runtime.base.errors import NotOnGError as NotOnGError
from gopark._runtime.base.errors import ProgramEnded as ProgramEnded
from gopark._runtime.base.errors import ScopeEnded as ScopeEnded
from gopark._runtime.chan.chan import Chan as Chan
from gopark._runtime.chan.selectgo import recv as recv
from gopark._runtime.chan.selectgo import select as select
from gopark._runtime.chan.selectgo import send as send
from gopark._runtime.main.rt0 import run as run
from gopark._runtime.sched.lockedm import block as block
from gopark._runtime.sched.newproc import go as go
from gopark._runtime.sched.panic import goexit as goexit
from gopark._runtime.sched.panic import set_panic_handler as set_panic_handler
from gopark._runtime.scope.timeout import timeout as timeout
from gopark._runtime.time.timesleep import gosched as gosched
from gopark._tasks import Task as Task
from gopark._tasks import as_completed as as_completed
from gopark._tasks import gather as gather
from gopark._tasks import spawn as spawn
from gopark._util import set_public_module

__all__ = (
    "Chan",
    "ClosedChannelError",
    "DeadlockError",
    "FatalError",
    "NotOnGError",
    "ProgramEnded",
    "ScopeEnded",
    "Task",
    "as_completed",
    "asyncio",
    "block",
    "cgo",
    "context",
    "debug",
    "exec",
    "future",
    "gather",
    "go",
    "goexit",
    "gosched",
    "http",
    "metrics",
    "net",
    "pprof",
    "recv",
    "run",
    "runtime",
    "select",
    "send",
    "set_panic_handler",
    "signal",
    "spawn",
    "sync",
    "testing",
    "time",
    "timeout",
    "tls",
    "trace",
    "workqueue",
)

__version__ = "0.1.0"

if _TYPE_CHECKING:
    from gopark import asyncio as asyncio
    from gopark import exec as exec
    from gopark import future as future
    from gopark import http as http
    from gopark import net as net
    from gopark import tls as tls
    from gopark import workqueue as workqueue
else:  # not every program has connections, or asyncio
    asyncio = _later("gopark.asyncio")
    exec = _later("gopark.exec")
    future = _later("gopark.future")
    http = _later("gopark.http")
    net = _later("gopark.net")
    tls = _later("gopark.tls")
    workqueue = _later("gopark.workqueue")

set_public_module(__name__, globals())
