"""Virtual time for tests: goroutines that have a clock of their own.

Nothing is loaded before a test asks for it.
May touch: the rooms before it, but not prof.
"""
