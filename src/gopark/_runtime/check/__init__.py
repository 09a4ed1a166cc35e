"""Debug modes of GOPARKDEBUG: checks of the scheduler's invariants, ancestors, schedtrace.

Loaded only where they are asked for; they replace functions of the rooms below.
May touch: the rooms before it, but not main, prof and bubble.
"""
