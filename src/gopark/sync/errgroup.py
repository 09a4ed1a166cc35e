"""Goroutines that work on parts of one thing, and fail together.

Go: golang.org/x/sync/errgroup.
"""

from gopark._util import set_public_module
from gopark.sync._errgroup import Group as Group
from gopark.sync._errgroup import with_context as with_context
from gopark.sync._task import Task as Task

__all__ = ("Group", "Task", "with_context")

set_public_module(__name__, globals())
