"""Scopes: waits that end from outside, when a time, a context or a task is over.

May touch: the rooms before it.
"""
