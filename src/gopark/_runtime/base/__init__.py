"""What all rooms stand on: G, M, P and their states, errors, lock ranks, clocks.

No goroutine runs here and nothing is scheduled. `hooks` has the doors that rooms above set.
May touch: nothing of ours.
"""
