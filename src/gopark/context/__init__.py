"""When work has to stop, by when, and what belongs to a request. Go: package context."""

from gopark._util import set_public_module
from gopark.context._context import Canceled as Canceled
from gopark.context._context import Context as Context
from gopark.context._context import DeadlineExceeded as DeadlineExceeded
from gopark.context._context import background as background
from gopark.context._context import todo as todo
from gopark.context._current import current as current
from gopark.context._current import use as use
from gopark.context._scope import scope as scope
from gopark.context._scope import shield as shield
from gopark.context._with import after_func as after_func
from gopark.context._with import cause as cause
from gopark.context._with import with_cancel as with_cancel
from gopark.context._with import with_cancel_cause as with_cancel_cause
from gopark.context._with import with_deadline as with_deadline
from gopark.context._with import with_deadline_cause as with_deadline_cause
from gopark.context._with import with_timeout as with_timeout
from gopark.context._with import with_timeout_cause as with_timeout_cause
from gopark.context._with import with_value as with_value
from gopark.context._with import without_cancel as without_cancel

__all__ = (
    "Canceled",
    "Context",
    "DeadlineExceeded",
    "after_func",
    "background",
    "cause",
    "current",
    "scope",
    "shield",
    "todo",
    "use",
    "with_cancel",
    "with_cancel_cause",
    "with_deadline",
    "with_deadline_cause",
    "with_timeout",
    "with_timeout_cause",
    "with_value",
    "without_cancel",
)

set_public_module(__name__, globals())
