"""Execution traces: who ran when and where, and who woke whom. Go: package runtime/trace."""

from gopark._util import set_public_module
from gopark.trace._annotation import Region as Region
from gopark.trace._annotation import Task as Task
from gopark.trace._annotation import log as log
from gopark.trace._annotation import new_task as new_task
from gopark.trace._annotation import region as region
from gopark.trace._annotation import start_region as start_region
from gopark.trace._annotation import with_region as with_region
from gopark.trace._flight import FlightRecorder as FlightRecorder
from gopark.trace._trace import is_enabled as is_enabled
from gopark.trace._trace import start as start
from gopark.trace._trace import stop as stop

__all__ = (
    "FlightRecorder",
    "Region",
    "Task",
    "is_enabled",
    "log",
    "new_task",
    "region",
    "start",
    "start_region",
    "stop",
    "with_region",
)

set_public_module(__name__, globals())
