"""The engine: G, M and P, channels, timers, C, signals, profiles. Imports nothing above itself.

Rooms by subject, from the bottom up; a module imports from its own room and those before it:
  base · report · sched · chan · time · net · c · signal · scope · main · prof · bubble · check
What lives in each is said in its `__init__`; HACKING has each module, and Go's file beside it.
Where a lower module has to call a higher one, it has a door (`Hooks`, `_Doors`, `_Outside`) that
the higher one sets when it is imported.
"""

from gopark._runtime.base.lockrank import debugvar
from gopark._runtime.main import rt0 as rt0
from gopark._runtime.scope import told as told

if debugvar("checksched") == "1":
    from gopark._runtime.check import checkmode

    checkmode.install()

if debugvar("tracebackancestors"):
    from gopark._runtime.check import ancestors

    ancestors.install()

if debugvar("tracebacklabels"):
    from gopark._runtime.prof import proflabel

    proflabel.install()

if period := debugvar("schedtrace"):
    from gopark._runtime.check import schedtrace

    schedtrace.install(period, debugvar("scheddetail") not in (None, "", "0"))
