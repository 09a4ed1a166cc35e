"""Waiting for time to pass, in seconds as float. Go: package time."""

from gopark._runtime.timesleep import after as after
from gopark._runtime.timesleep import sleep as sleep
from gopark._util import set_public_module

__all__ = ("after", "sleep")

set_public_module(__name__, globals())
