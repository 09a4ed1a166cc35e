"""Signals on channels: a program waits for them as for anything else. Go: package os/signal.

Python's main thread has to be in `gopark.run`; the functions may be called in any goroutine and
on any thread. Signals that nobody asked for do what they do in any Python program.
"""

from gopark._util import set_public_module
from gopark.signal._context import notify_context as notify_context
from gopark.signal._signal import ignore as ignore
from gopark.signal._signal import ignored as ignored
from gopark.signal._signal import notify as notify
from gopark.signal._signal import reset as reset
from gopark.signal._signal import stop as stop

__all__ = ("ignore", "ignored", "notify", "notify_context", "reset", "stop")

set_public_module(__name__, globals())
