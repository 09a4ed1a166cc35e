"""What waits for the clock: sleep, Timer, Ticker, after_func. The heap of timers is in sched.

May touch: base, sched, chan.
"""
