#!/usr/bin/env bash
# CPython 3.11 to 3.13: Ctrl-C in a loop right behind `try:` passes by `except` and `finally`: in
# 3.11 and 3.12 if the loop is written on one line, in 3.13 if its condition is a call.
#
# Seen with: CPython 3.11.7, 3.12.1 and 3.13.0; not with 3.14.10 and 3.15.2.
#
#     def one_line():                    def two_lines():               def condition():
#         try:                               try:                           try:
#             while True: n[0] += 1              while True:                    while more():
#         finally:                                   n[0] += 1                      pass
#             done()                         finally:                       finally:
#                                                done()                         done()
#
#     3.11.7, 3.12.1   one line: `finally` ran in 0 of 20, `except` caught 0 of 20
#                      two lines, and a condition: 20 of 20, 20 of 20
#     3.13.0           a condition that is a call of C: 0 to 4 of 20, on one line or two
#                      all else: 20 of 20
#
# It is the same with a real Ctrl-C on the main thread as with PyThreadState_SetAsyncExc on another.
# If the loop calls a function of Python, about half of the cases are caught: those that strike in
# the function.
#
# The guess: what is raised between `try` and `finally` runs the `finally`; a line break means
# nothing. What seems to go on: the interrupt is noticed in the jump back to the head of the loop,
# and the handler is looked up by the instruction before that head. In the two-line form that is a
# NOP for the line `while True:`, inside of `try`; on one line there is none, and the instruction
# before is that of `try` itself, which its table (`dis.dis`) does not cover. 3.13 repeats the
# condition at the end of the loop, and the jump back behind it is left out of the table.
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


def condition(log):
    try:
        while not n.append(n.pop() + 1):
            pass
    except KeyboardInterrupt:
        log.append("caught")


def condition_finally(log):
    try:
        while not n.append(n.pop() + 1):
            pass
    finally:
        log.append("caught")


MISSED = (condition, condition_finally)
if sys.version_info < (3, 13):
    MISSED = (one_line, one_line_finally)
elif sys.version_info >= (3, 14):
    MISSED = ()


def looping():
    while sum(n) < 1000:  # it is inside of the loop by then
        time.sleep(0.001)


def outer(body, log):
    try:
        body(log)
    except KeyboardInterrupt:
        pass


def on_a_thread(body):
    n[:] = [0]
    log = []
    thread = threading.Thread(target=outer, args=(body, log))
    thread.start()
    looping()
    set_async_exc(thread.ident, KeyboardInterrupt)
    thread.join()
    return len(log)


def by_ctrl_c(body):
    n[:] = [0]
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
    for body in (
        *(one_line, one_line_finally, two_lines, two_lines_finally),
        *(condition, condition_finally),
    ):
        ran = sum(how(body) for _ in range(TRIES))
        print(f"  {how.__name__:12} {body.__name__:18} ran in {ran:2} of {TRIES}")
        if (ran == TRIES) is (body in MISSED):
            bad.append(f"{how.__name__} {body.__name__}")
if bad:
    sys.exit(f"this has changed: {', '.join(bad)}")
PY

for version in 3.11 3.12 3.13; do
    python=$(need "$version")
    "$python" "$dir/t.py"
done
