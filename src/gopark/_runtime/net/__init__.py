"""The network poller: who waits on which descriptor, and until when.

It takes the G off its descriptor; the scheduler says when to look, by `netdoor` (base/hooks.py).
May touch: base, sched.
"""
