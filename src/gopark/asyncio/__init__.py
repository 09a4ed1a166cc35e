"""asyncio inside of a program, and goroutines inside of asyncio: the bridge between the two.

The program's loop is asyncio's own, and is run by a goroutine: a crossing is a switch between
goroutines, and libraries that are written for asyncio run as they are.
"""

from gopark._util import set_public_module
from gopark.asyncio import _tasks as _tasks
from gopark.asyncio import _traced as _traced
from gopark.asyncio._call import call as call
from gopark.asyncio._go import go as go
from gopark.asyncio._go import run as run
from gopark.asyncio._host import new_event_loop as new_event_loop
from gopark.asyncio._host import start as start
from gopark.asyncio._wait import aiter as aiter
from gopark.asyncio._wait import wait as wait

__all__ = ("aiter", "call", "go", "new_event_loop", "run", "start", "wait")

set_public_module(__name__, globals())
