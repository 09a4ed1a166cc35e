"""Channels and `select`.

May touch: base and sched, of that what makes a goroutine ready.
"""
