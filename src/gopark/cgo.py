"""The boundary to C: callbacks that are goroutines, calls that hold nobody up. Go: cgo."""

from gopark._runtime.c.cgocall import call as call
from gopark._runtime.c.cgocall import callback as callback
from gopark._runtime.c.cgocall import export as export
from gopark._runtime.c.handle import Handle as Handle
from gopark._runtime.c.handle import new_handle as new_handle
from gopark._util import set_public_module

__all__ = ("Handle", "call", "callback", "export", "new_handle")

set_public_module(__name__, globals())
