"""Finding what is wrong with a program. Go: package runtime/debug."""

from gopark._runtime.deadlock import strict_deadlock as strict_deadlock
from gopark._util import set_public_module

__all__ = ("strict_deadlock",)

set_public_module(__name__, globals())
