"""Calls for the same thing at the same time become one. Go: golang.org/x/sync/singleflight."""

from gopark._util import set_public_module
from gopark.sync._singleflight import Group as Group
from gopark.sync._singleflight import Result as Result

__all__ = ("Group", "Result")

set_public_module(__name__, globals())
