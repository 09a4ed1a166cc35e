#!/usr/bin/env bash
# CPython without a GIL: an object that a thread took from a queue is not freed when that thread drops
# the last reference, but when the thread that made it runs next. If that one sleeps, it is not freed.
#
# Seen with: CPython 3.13 free-threaded (3.13.15). With a GIL, 3.13.0, it is freed at once. Linux.
#
# The main thread does `q.put(Thing())` and waits for a lock. Another does `thing = q.get(); del thing`:
#
#     with a GIL       __del__ in the other thread, at the `del`
#     without          not at the `del`, nor 0.3 s later: weak references still give the object. When the
#                      main thread has its lock, __del__ runs there
#
# The guess: what reference counting means, and what free-threaded builds keep: the last reference is
# gone, so the object is. But each object has a count of its maker's and one of all others', and a
# reference that is handed over was counted by the maker and is dropped by another: it is put on the
# maker's list, and a thread that waits does not look at its list.
#
# Why it matters: handing a thing over is what queues are for, and the maker then waits for the next. If
# the thing is a file, a socket or a lock's guard that is closed by being dropped, the peer sees no end
# of it for as long as the maker has nothing to do. `close()`, or `with`, is not a matter of style there.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import queue
import sys
import threading
import time
import weakref


class Thing:
    def __del__(self):
        freed.append(threading.current_thread().name)


def taker():
    thing = q.get()
    ref = weakref.ref(thing)
    del thing
    time.sleep(0.3)
    seen.append((ref() is not None, list(freed)))
    gate.release()


freed, seen = [], []
q = queue.SimpleQueue()
gate = threading.Lock()
gate.acquire()
thread = threading.Thread(target=taker, name="taker")
thread.start()
time.sleep(0.1)  # it waits in get()
q.put(Thing())
gate.acquire()
thread.join()
free = not getattr(sys, "_is_gil_enabled", lambda: True)()
print(f"{'no GIL' if free else 'GIL'}: 0.3 s after the last reference: alive {seen[0][0]}, "
      f"__del__ had run on {seen[0][1]}; in the end on {freed}")
assert seen == [(True, []) if free else (False, ["taker"])], seen
assert freed == ["MainThread" if free else "taker"], freed
PY

"$(need 3.13)" "$dir/t.py"
"$(need 3.13t)" "$dir/t.py"
