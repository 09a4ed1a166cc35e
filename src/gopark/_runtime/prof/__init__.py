"""Profiles, labels, execution traces, metrics and the search for leaks.

Nothing below knows of it; what has to be told comes through doors.
May touch: the rooms before it.
"""
