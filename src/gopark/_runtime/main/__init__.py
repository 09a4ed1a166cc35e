"""`run`: the beginning and the end of a program.

May touch: the rooms before it.
"""
