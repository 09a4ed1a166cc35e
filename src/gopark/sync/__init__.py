"""Locks and what else goroutines share, for `async def` and for plain code. Go: package sync."""

from gopark._util import set_public_module
from gopark.sync import atomic as atomic
from gopark.sync import errgroup as errgroup
from gopark.sync import semaphore as semaphore
from gopark.sync import singleflight as singleflight
from gopark.sync._cond import Cond as Cond
from gopark.sync._map import Map as Map
from gopark.sync._mutex import Locker as Locker
from gopark.sync._mutex import Mutex as Mutex
from gopark.sync._once import Once as Once
from gopark.sync._oncefunc import once_func as once_func
from gopark.sync._oncefunc import once_value as once_value
from gopark.sync._oncefunc import once_values as once_values
from gopark.sync._pool import Pool as Pool
from gopark.sync._rwmutex import RWMutex as RWMutex
from gopark.sync._waitgroup import WaitGroup as WaitGroup

__all__ = (
    "Cond",
    "Locker",
    "Map",
    "Mutex",
    "Once",
    "Pool",
    "RWMutex",
    "WaitGroup",
    "atomic",
    "errgroup",
    "once_func",
    "once_value",
    "once_values",
    "semaphore",
    "singleflight",
)

set_public_module(__name__, globals())
