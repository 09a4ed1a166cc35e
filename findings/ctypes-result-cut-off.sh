#!/usr/bin/env bash
# A callback of ctypes cuts off an int that its result type cannot hold, and says nothing.
#
# Seen with: CPython 3.11.7, 3.12.1, 3.13.0 (ctypes); cffi 2.1.1 for comparison. Linux, x86_64.
#
# CFUNCTYPE(c_int) around a function that returns 2**32 + 5: C gets 5. No exception, no warning, no
# call of sys.unraisablehook. The documentation says of the *constructors* of ctypes' types that
# they check no overflow; of results nothing.
#
#     ctypes: C got 5, reports: []
#     cffi:   C got -1 (its error=), reports: ['OverflowError']
#
# The guess: an OverflowError, printed as "Exception ignored ..." as any other exception in a
# callback is. That is what cffi does, for the same function and the same C type.
#
# Why it matters: a callback runs on a thread of C's, so nobody is there to see a wrong number but
# the library. 2**32 as "how many bytes were written" arrives as 0, which often means "the end".
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import ctypes
import sys

import cffi

reports = []
sys.unraisablehook = lambda args: reports.append(args.exc_type.__name__)


def big():
    return 2**32 + 5


by_ctypes = ctypes.CFUNCTYPE(ctypes.c_int)(big)(), reports[:]
reports.clear()
by_cffi = cffi.FFI().callback("int(void)", big, error=-1)(), reports[:]

print("CPython", sys.version.split()[0])
print(f"  ctypes: C got {by_ctypes[0]}, reports: {by_ctypes[1]}")
print(f"  cffi:   C got {by_cffi[0]} (its error=), reports: {by_cffi[1]}")
if by_ctypes != (5, []) or by_cffi != (-1, ["OverflowError"]):
    sys.exit("this has changed")
PY

for version in 3.11 3.12 3.13; do
    python=$(venv "$version" cffi==2.1.1)
    "$python" "$dir/t.py"
done
