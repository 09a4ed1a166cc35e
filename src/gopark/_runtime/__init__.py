"""The scheduler: G, M and P, channels, timers, extra Ms. Imports nothing above itself.

From the bottom up; a module imports only those before it:
  errors · printstring · lockrank · runtime1 · monkey · runtime2 · timer · startm · sysmon · runq
  proc · newproc · lockedm · chan · selectgo · timechan · timefunc · timesleep · symtab · traceback
  debug · panic · deadlock · cgogate · extram · cgoresult · cgocall · mfinal · signal_unix
  sigwatch · snapshot · remote · nomain · sigquit · sigqueue · newosproc · closing · cleanup · rt0;
  gomaxprocs, proflabel, goid, mprof, cpuprof, mgcleak, trace, traceloop and metrics beside them;
  bubble, synctest in tests; ancestors, checkmode, schedtrace in debug runs
Where a lower module has to call a higher one, it has a door (`Hooks`, `_Doors`, `_Outside`,
`_Foreign`) that the higher one sets when it is imported.
"""

from gopark._runtime import rt0 as rt0
from gopark._runtime.lockrank import debugvar

if debugvar("checksched") == "1":
    from gopark._runtime import checkmode

    checkmode.install()

if debugvar("tracebackancestors"):
    from gopark._runtime import ancestors

    ancestors.install()

if debugvar("tracebacklabels"):
    from gopark._runtime import proflabel

    proflabel.install()

if period := debugvar("schedtrace"):
    from gopark._runtime import schedtrace

    schedtrace.install(period, debugvar("scheddetail") not in (None, "", "0"))
