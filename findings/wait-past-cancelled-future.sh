#!/usr/bin/env bash
# concurrent.futures: `wait` and `as_completed` wait for a future that is done: one that was cancelled
# before an executor has looked at it. `done()` says True, `result()` raises CancelledError, its callbacks
# have been called, and `wait([future])` does not return.
#
# Seen with: CPython 3.11.7, 3.12.1, 3.13.0, 3.14.10 and 3.15.2, the same in all.
#
# An executor of one thread, which is busy; a second future is submitted and cancelled:
#
#     done(), cancelled()                  True, True
#     wait([future], timeout=0.2)          not done; without a timeout it waits for the busy thread
#     as_completed([future], timeout=0.2)  TimeoutError
#     wait([future]) once the thread has come to it     done
#     a bare Future() after cancel()       not done, at any time
#
# The guess: `wait` returns at once what `done()` calls done. Inside there are two states, CANCELLED and
# CANCELLED_AND_NOTIFIED, and the second comes when a worker takes the item out of its queue, or
# whoever made the future calls `set_running_or_notify_cancel`.
#
# Why it matters: "cancel what has not begun, then wait for the rest" takes as long as the longest call
# that runs, for nothing. And a future from a library that is no executor, cancelled by its user, is one
# that `wait` never sees the end of. Callbacks do not have this: who waits by them is told at once.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait

called = []
go, busy = threading.Event(), threading.Event()
with ThreadPoolExecutor(1) as pool:
    pool.submit(lambda: (busy.set(), go.wait()))
    busy.wait()
    fut = pool.submit(print)
    fut.add_done_callback(called.append)
    said = fut.cancel(), fut.done(), fut.cancelled(), len(called)
    waited = fut in wait([fut], timeout=0.2).done
    try:
        came = list(as_completed([fut], timeout=0.2))
    except TimeoutError:
        came = TimeoutError
    go.set()
    after = fut in wait([fut], timeout=60).done
bare = Future()
bare.cancel()
alone = bare.done(), bare in wait([bare], timeout=0.2).done
print("CPython", sys.version.split()[0])
print("  cancel(), done(), cancelled(), callbacks:", said)
print("  wait: done", waited, "as_completed:", came, "wait once the worker was there: done", after)
print("  a bare future: done()", alone[0], "wait: done", alone[1])
if (said, waited, came, after, alone) != ((True, True, True, 1), False, TimeoutError, True, (True, False)):
    sys.exit("this has changed")
PY

seen=0
for version in 3.11 3.12 3.13 3.14 3.15; do # those of them that are here
    python=$(need "$version" 2>/dev/null) || continue
    "$python" "$dir/t.py"
    seen=1
done
[ "$seen" = 1 ] || need 3.13
