"""C calls in, and is called: extra Ms, callbacks, their results, handles.

A thread from outside is an M while its callback runs, and nothing before and after.
May touch: base, report, sched.
"""
