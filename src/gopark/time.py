"""Waiting for time to pass, in seconds as float. Go: package time."""

from gopark._runtime.base.timenow import monotonic as monotonic
from gopark._runtime.base.timenow import now as now
from gopark._runtime.time.timechan import Ticker as Ticker
from gopark._runtime.time.timechan import Timer as Timer
from gopark._runtime.time.timechan import after as after
from gopark._runtime.time.timechan import tick as tick
from gopark._runtime.time.timefunc import after_func as after_func
from gopark._runtime.time.timesleep import sleep as sleep
from gopark._util import set_public_module

__all__ = ("Ticker", "Timer", "after", "after_func", "monotonic", "now", "sleep", "tick")

set_public_module(__name__, globals())
