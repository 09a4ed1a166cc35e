#!/usr/bin/env bash
# gevent: after monkey.patch_all() no Thread's `ident` is a thread's, not even that of a main thread
# that was there before; `native_id` stays true.
#
# Seen with: gevent 26.9.0, greenlet 3.5.6, CPython 3.11.7 and 3.13.0.
#
#     threading.main_thread().ident                             changes at patch_all()
#     main_thread().ident in sys._current_frames()              True before, False after
#     PyThreadState_SetAsyncExc(main_thread().ident, ...)       finds 0 threads
#     id(gevent.getcurrent()) == main_thread().ident            True: an address of an object
#
# The guess: that new Threads are greenlets and have numbers of their own, yes; not that a number
# changes under a Thread object that exists and runs. "This is a nonzero integer" is all that the
# documentation promises, but sys._current_frames(), faulthandler and PyThreadState_SetAsyncExc take
# or give identifiers, and Thread.ident is how one translates them to names.
#
# Why it matters: whoever remembers an identifier (a runtime that marks its threads, a profiler, a
# timeout that interrupts a thread) and compares after the patch finds a stranger, silently.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import ctypes
import sys
import threading

set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
set_async_exc.argtypes = (ctypes.c_ulong, ctypes.py_object)

main = threading.main_thread()
ident, native = main.ident, main.native_id
before = ident in sys._current_frames()

import gevent.monkey

gevent.monkey.patch_all()

import gevent

assert threading.main_thread() is main
results = {
    "the ident changed": main.ident != ident,
    "in _current_frames() before": before,
    "in _current_frames() after": main.ident in sys._current_frames(),
    "the old one in _current_frames() after": ident in sys._current_frames(),
    "threads found by SetAsyncExc": set_async_exc(main.ident, KeyError),
    "the ident is id() of the greenlet": main.ident == id(gevent.getcurrent()),
    "native_id stayed": main.native_id == native,
}
print("CPython", sys.version.split()[0], "gevent", gevent.__version__)
for what, value in results.items():
    print(f"  {what}: {value}")
if list(results.values()) != [True, True, False, True, 0, True, True]:
    sys.exit("this has changed")
PY

for version in 3.11 3.13; do
    python=$(venv "$version" gevent==26.9.0 greenlet==3.5.6)
    "$python" "$dir/t.py"
done
