"""Signals, Ctrl-C, dumps from outside: what comes in between two lines.

Nothing of the user's waits or raises amid the runtime: see HACKING.
May touch: the rooms before it.
"""
