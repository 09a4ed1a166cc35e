"""Values that several threads change at once, each operation in one step. Go: sync/atomic.

For counters, flags and configurations that are too small for a lock around them. Operations
never wait for a goroutine, so they need no `await`.
"""

from gopark._util import set_public_module
from gopark.sync._atomic import Bool as Bool
from gopark.sync._atomic import Int32 as Int32
from gopark.sync._atomic import Int64 as Int64
from gopark.sync._atomic import Pointer as Pointer
from gopark.sync._atomic import Uint32 as Uint32
from gopark.sync._atomic import Uint64 as Uint64
from gopark.sync._atomic import Value as Value

__all__ = ("Bool", "Int32", "Int64", "Pointer", "Uint32", "Uint64", "Value")

set_public_module(__name__, globals())
