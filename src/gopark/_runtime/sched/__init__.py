"""The scheduler: queues, threads, timers, `go`, `block`, deadlock, and how all of it ends.

Who takes a G off a queue owns its wake-up; one owner steps a coroutine.
May touch: base, report.
"""
