#!/usr/bin/env bash
# CPython 3.13 without a GIL: `deque.copy()` waits for a lock that its own caller holds. A copy of a deque
# of five takes hundreds of microseconds; one of a deque of one item, and `list(d)`, take less than one.
#
# Seen with: CPython 3.13 free-threaded (3.13.15). With a GIL, 3.13.0, all are alike. Linux.
#
#     items                             0     1     2     5
#     `copy()`, microseconds           56   0.1   113   467   (up to twice that on a busy machine)
#     `list(d)`                       0.1   0.1   0.1   0.1
#
# The guess: copying five references is the same work whatever holds them, with one thread and no
# contention at all.
#
# Why it matters: deques are the queues of concurrent programs, and `copy` is how one looks at such a
# queue without holding up its users. Called at each signal or each request, it is the program's
# slowest line, and nothing in a profile says that it sleeps.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import sys
import time
from collections import deque


def each(fn):
    """Microseconds, the least of five times two hundred."""
    best = 1e9
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(200):
            fn()
        best = min(best, (time.perf_counter() - began) / 200)
    return best * 1e6


free = not getattr(sys, "_is_gil_enabled", lambda: True)()
took = {n: (each(deque(range(n)).copy), each(lambda d=deque(range(n)): list(d))) for n in (0, 1, 2, 5)}
for n, (copy, listed) in took.items():
    print(f"{'no GIL' if free else 'GIL'}: {n} items: copy() {copy:.1f} us, list() {listed:.1f} us")
slow = {n for n, (copy, listed) in took.items() if copy > 20 * listed}
assert slow == ({0, 2, 5} if free else set()), slow
PY

"$(need 3.13)" "$dir/t.py"
"$(need 3.13t)" "$dir/t.py"
