"""A semaphore with weights. Go: golang.org/x/sync/semaphore."""

from gopark._util import set_public_module
from gopark.sync._semaphore import Weighted as Weighted

__all__ = ("Weighted",)

set_public_module(__name__, globals())
