"""Finding what is wrong with a program. Go: package runtime/debug."""

from gopark._debug._serve import Server as Server
from gopark._debug._serve import serve as serve
from gopark._runtime.base.runtime1 import set_crash_output as set_crash_output
from gopark._runtime.base.runtime1 import set_traceback as set_traceback
from gopark._runtime.prof.mgcleak import Leak as Leak
from gopark._runtime.prof.mgcleak import leaks as leaks
from gopark._runtime.report.debug import print_stack as print_stack
from gopark._runtime.report.debug import stack as stack
from gopark._runtime.sched.deadlock import strict_deadlock as strict_deadlock
from gopark._util import set_public_module

__all__ = (
    "Leak",
    "Server",
    "leaks",
    "print_stack",
    "serve",
    "set_crash_output",
    "set_traceback",
    "stack",
    "strict_deadlock",
)

set_public_module(__name__, globals())
