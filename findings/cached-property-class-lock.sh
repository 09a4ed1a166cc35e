#!/usr/bin/env bash
# CPython 3.11: functools.cached_property computes for one object of a class at a time; and from
# 3.12 on it has no lock at all, so that one object's value may be computed twice.
#
# Seen with: CPython 3.11.7, 3.12.1, 3.13.0.
#
# Two threads. The first is within the property of `a` and waits there until the second is through:
#
#                                        3.11.7    3.12.1, 3.13.0
#     the second asks for b's            held up   computes
#     the second asks for a's as well    held up   computes it a second time
#
# The guess, in either version: what is cached per object is locked per object, so `b` is free and
# `a` is computed once. (Only from 3.12 on, where it is gone, does the documentation tell of the
# lock.)
#
# Why it matters: a `cached_property` that opens a connection opens one at a time on 3.11, however
# many threads there are; on 3.12 the same line may open two and keep one. A runtime with a thread
# for each call that blocks meets both.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import functools
import sys
import threading


class Thing:
    def __init__(self):
        self.computed = 0

    @functools.cached_property
    def value(self):
        self.computed += 1
        if threading.current_thread() is first:
            inside.set()
            # Never for ever: it goes on after a while if the other does not come.
            through.wait(2)
        return object()


def second_of(other):
    other.value
    through.set()


def held_up(same):
    global first, inside, through
    inside, through = threading.Event(), threading.Event()
    a, b = Thing(), Thing()
    first = threading.Thread(target=lambda: (a.value, late.append(not through.is_set())))
    late = []
    first.start()
    inside.wait()
    second = threading.Thread(target=second_of, args=(a if same else b,))
    second.start()
    first.join()
    second.join()
    return late[0], a.computed


other, same = held_up(False), held_up(True)
print("CPython", sys.version.split()[0])
print(f"  b's: held up: {other[0]};  a's: held up: {same[0]}, computed {same[1]} times")
old = sys.version_info < (3, 12)
if (other, same) != (((True, 1), (True, 1)) if old else ((False, 1), (False, 2))):
    sys.exit("this has changed")
PY

for version in 3.11 3.12 3.13; do
    python=$(need "$version")
    "$python" "$dir/t.py"
done
