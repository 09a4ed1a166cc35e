#!/usr/bin/env bash
# CPython up to 3.12: a C thread whose callback has called threading.current_thread() once is alive
# for `threading` for ever, and the next C thread may be given its Thread object.
#
# Seen with: CPython 3.11.7, 3.12.1; not with 3.13.0. Linux, glibc.
#
# 20 threads, one after the other: pthread_create with a ctypes callback, which calls
# current_thread() and sets an attribute on it; pthread_join.
#
#     3.11.7, 3.12.1   enumerate() lists a dead one, is_alive() True; 19 of 20 found the attribute
#                      that another thread had set
#     3.13.0           enumerate() lists none of them; none of 20 found anything
#
# The guess: a thread that pthread_join has joined is not in enumerate(); and a new thread has a
# new Thread. glibc gives the stack of a dead thread, and with it the identifier, to the next one,
# and `threading` finds its old entry under it.
#
# Why it matters: logging calls current_thread() for each record, so one log line in a callback is
# enough. What a library stores on the Thread object of "this" thread comes from the dead, and
# who polls until enumerate() is down to the main thread polls for ever.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import ctypes
import sys
import threading

libc = ctypes.CDLL(None)
libc.pthread_create.argtypes = [ctypes.POINTER(ctypes.c_ulong)] + [ctypes.c_void_p] * 3
libc.pthread_join.argtypes = [ctypes.c_ulong, ctypes.c_void_p]
found = []


@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def callback(_):
    thread = threading.current_thread()
    found.append(hasattr(thread, "mark"))
    thread.mark = True


def one():
    thread = ctypes.c_ulong()
    assert libc.pthread_create(thread, None, ctypes.cast(callback, ctypes.c_void_p), None) == 0
    assert libc.pthread_join(thread, None) == 0  # ctypes gives up the GIL meanwhile


for _ in range(20):
    one()
dead = [t for t in threading.enumerate() if t is not threading.main_thread()]
print("CPython", sys.version.split()[0])
print("  all joined; enumerate() still has", [(t.name, t.is_alive()) for t in dead])
print(f"  {sum(found)} of {len(found)} found the attribute of another")
old = sys.version_info < (3, 13)
if bool(dead) != old or any(found) != old or not all(t.is_alive() for t in dead):
    sys.exit("this has changed")
PY

for version in 3.11 3.12 3.13; do
    python=$(need "$version")
    "$python" "$dir/t.py"
done
