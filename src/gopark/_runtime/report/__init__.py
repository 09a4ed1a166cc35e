"""Stacks, dumps and the words of a panic: what a program says of itself.

It reads goroutines and takes no lock, for it runs while others hold theirs.
May touch: base.
"""
