"""Signals on channels: a program waits for them as for anything else. Go: package os/signal.

Python's main thread has to be in `gopark.run`; the functions may be called in any goroutine and
on any thread. Signals that nobody asked for do what they do in any Python program.
"""

from gopark._runtime.sigqueue import ignore as ignore
from gopark._runtime.sigqueue import ignored as ignored
from gopark._runtime.sigqueue import notify as notify
from gopark._runtime.sigqueue import reset as reset
from gopark._runtime.sigqueue import stop as stop
from gopark._util import set_public_module

__all__ = ("ignore", "ignored", "notify", "reset", "stop")

set_public_module(__name__, globals())
