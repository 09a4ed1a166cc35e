#!/usr/bin/env bash
# Who keeps sys._current_frames() in a local variable keeps the locals of all its callers alive.
#
# Seen with: CPython 3.11.7, 3.12.1, 3.13.0.
#
# The dictionary holds the frame of the function that called it, and that frame holds the
# dictionary: a cycle. The function returns, and its frame stays, and so does its chain of callers
# as they return, each with its locals, until a collection finds them.
#
#     frames = sys._current_frames(); return len(frames)    the caller's object: alive
#     return len(sys._current_frames())                     the caller's object: freed
#
# The guess: a local variable is gone when its function returns, so both lines are the same.
# The documentation warns about cycles of this kind for `inspect.currentframe()`, where one asks for
# one's own frame; here one asks for the others and gets one's own along with them.
#
# Why it matters: samplers, watchdogs and dumps of stacks call this every few milliseconds, in
# programs that may run with the collector off. Sockets, locks and large buffers of whoever asked
# for a dump then stay open at random.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import gc
import sys
import weakref

gc.disable()


class Resource:
    pass


def named():
    frames = sys._current_frames()
    return len(frames)


def unnamed():
    return len(sys._current_frames())


def caller(look):
    resource = Resource()  # of a caller that does nothing with frames itself
    ref = weakref.ref(resource)
    look()
    return ref


kept, freed = caller(named), caller(unnamed)
alive = kept() is not None, freed() is not None
gc.collect()
print("CPython", sys.version.split()[0])
print("  in a local: alive after the return:", alive[0], "- after a collection:", kept() is not None)
print("  no local:   alive after the return:", alive[1])
if alive != (True, False) or kept() is not None:
    sys.exit("this has changed")
PY

for version in 3.11 3.12 3.13; do
    python=$(need "$version")
    "$python" "$dir/t.py"
done
