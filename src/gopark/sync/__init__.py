"""Locks and what else goroutines share, for `async def` and for plain code. Go: package sync."""

from gopark._util import set_public_module
from gopark.sync._mutex import Locker as Locker
from gopark.sync._mutex import Mutex as Mutex
from gopark.sync._once import Once as Once
from gopark.sync._rwmutex import RWMutex as RWMutex
from gopark.sync._waitgroup import WaitGroup as WaitGroup

__all__ = (
    "Locker",
    "Mutex",
    "Once",
    "RWMutex",
    "WaitGroup",
)

set_public_module(__name__, globals())
