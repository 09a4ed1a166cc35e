#!/usr/bin/env bash
# CPython 3.11 and 3.12: Ctrl-C in `try: / while True: f()` passes by `except` and `finally`, if the
# loop is written on one line.
#
# Seen with: CPython 3.11.7 and 3.12.1; not with 3.13.0.
#
#     def one_line():                    def two_lines():
#         try:                               try:
#             while True: n[0] += 1              while True:
#         finally:                                   n[0] += 1
#             done()                         finally:
#                                                done()
#
#     3.11.7, 3.12.1   one line: `finally` ran in 0 of 20, `except` caught 0 of 20
#                      two lines: 20 of 20, 20 of 20
#     3.13.0           20 of 20 everywhere
#
# It is the same with a real Ctrl-C on the main thread as with PyThreadState_SetAsyncExc on another.
# If the loop calls a function, about half of the cases are caught: those that strike in the
# function.
#
# The guess: what is raised between `try` and `finally` runs the `finally`; a line break means
# nothing. What seems to go on: the interrupt is noticed in the jump back to the head of the loop,
# and the handler is looked up by the instruction before that head. In the two-line form that is a
# NOP for the line `while True:`, inside of `try`; on one line there is none, and the instruction
# before is that of `try` itself, which its table (`dis.dis`) does not cover.
#
# Why it matters: a lock taken before such a loop is not given back, a goroutine that is to be ended
# by an exception skips its clean-up, and the same code with one line break more is right.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import ctypes
import os
import signal
import sys
import threading
import time

set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
set_async_exc.argtypes = (ctypes.c_ulong, ctypes.py_object)
n = [0]
TRIES = 20


def one_line(log):
    try:
        while True: n[0] += 1
    except KeyboardInterrupt:
        log.append("caught")


def two_lines(log):
    try:
        while True:
            n[0] += 1
    except KeyboardInterrupt:
        log.append("caught")


def one_line_finally(log):
    try:
        while True: n[0] += 1
    finally:
        log.append("caught")


def two_lines_finally(log):
    try:
        while True:
            n[0] += 1
    finally:
        log.append("caught")


def looping():
    while n[0] < 1000:  # it is inside of the loop by then
        time.sleep(0.001)


def outer(body, log):
    try:
        body(log)
    except KeyboardInterrupt:
        pass


def on_a_thread(body):
    n[0] = 0
    log = []
    thread = threading.Thread(target=outer, args=(body, log))
    thread.start()
    looping()
    set_async_exc(thread.ident, KeyboardInterrupt)
    thread.join()
    return len(log)


def by_ctrl_c(body):
    n[0] = 0
    log = []
    thread = threading.Thread(target=lambda: (looping(), os.kill(os.getpid(), signal.SIGINT)))
    thread.start()
    outer(body, log)
    thread.join()
    return len(log)


signal.signal(signal.SIGINT, signal.default_int_handler)
print("CPython", sys.version.split()[0])
bad = []
for how in on_a_thread, by_ctrl_c:
    for body in one_line, one_line_finally, two_lines, two_lines_finally:
        ran = sum(how(body) for _ in range(TRIES))
        print(f"  {how.__name__:12} {body.__name__:18} ran in {ran:2} of {TRIES}")
        missed = sys.version_info < (3, 13) and body in (one_line, one_line_finally)
        if (ran == TRIES) if missed else (ran != TRIES):
            bad.append(f"{how.__name__} {body.__name__}")
if bad:
    sys.exit(f"this has changed: {', '.join(bad)}")
PY

for version in 3.11 3.12 3.13; do
    python=$(need "$version")
    "$python" "$dir/t.py"
done
