"""Tests that leave no goroutine behind. Go: package go.uber.org/goleak."""

from gopark._util import set_public_module
from gopark.testing._leak import LeakError as LeakError
from gopark.testing._leak import Option as Option
from gopark.testing._leak import cleanup as cleanup
from gopark.testing._leak import find as find
from gopark.testing._leak import ignore_any_function as ignore_any_function
from gopark.testing._leak import ignore_created_by as ignore_created_by
from gopark.testing._leak import ignore_current as ignore_current
from gopark.testing._leak import ignore_top_function as ignore_top_function
from gopark.testing._leak import max_retry as max_retry
from gopark.testing._leak import verify_none as verify_none

__all__ = (
    "LeakError",
    "Option",
    "cleanup",
    "find",
    "ignore_any_function",
    "ignore_created_by",
    "ignore_current",
    "ignore_top_function",
    "max_retry",
    "verify_none",
)

set_public_module(__name__, globals())
