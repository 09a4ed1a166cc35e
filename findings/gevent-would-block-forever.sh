#!/usr/bin/env bash
# gevent: a patched threading.Event, Lock or Queue that a native thread is about to release raises
# LoopExit: "This operation would block forever".
#
# Seen with: gevent 26.9.0, greenlet 3.5.6, CPython 3.11.7 and 3.13.0. Linux.
#
# After monkey.patch_all(), the main thread waits and a native thread (the original
# start_new_thread) sets, releases or puts a moment later:
#
#     Event.wait()        LoopExit
#     Lock.acquire()      LoopExit
#     Queue.get()         LoopExit
#     all three beside a greenlet that ticks        return as soon as the thread has come
#
# The guess: what is called threading.Event and queue.Queue works between threads, or refuses to, by
# the thread that calls. (gevent's documentation of its own Event forbids other threads.) Here it
# depends on what else the program does: with a timer or a socket to wait for it works; with none
# gevent concludes that nothing can happen any more, and does not count threads it has not made.
#
# Why it matters: native threads under gevent are those of C libraries, whose callbacks end up in
# Event.set. A quiet program fails and a busy one does not. It is the question that any deadlock
# detector has to answer: could a thread of somebody else's still help?
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import gevent.monkey

gevent.monkey.patch_all()

import queue
import sys
import threading

import gevent
from gevent.exceptions import LoopExit

start_native = gevent.monkey.get_original("_thread", "start_new_thread")
allocate_native = gevent.monkey.get_original("_thread", "allocate_lock")
native_sleep = gevent.monkey.get_original("time", "sleep")


def held():
    lock = threading.Lock()
    lock.acquire()
    return lock


def outcome(make, wait, release):
    thing = make()
    ended = allocate_native()
    ended.acquire()

    def native():
        native_sleep(0.2)
        release(thing)
        ended.release()

    start_native(native, ())
    try:
        wait(thing)
        return "returned"
    except LoopExit as error:
        return f"LoopExit: {str(error).splitlines()[0]}"
    finally:
        ended.acquire()


cases = {
    "Event.wait": (threading.Event, lambda e: e.wait(), lambda e: e.set()),
    "Lock.acquire": (held, lambda lock: lock.acquire(), lambda lock: lock.release()),
    "Queue.get": (queue.Queue, lambda q: q.get(), lambda q: q.put(1)),
}
quiet = {name: outcome(*case) for name, case in cases.items()}


def tick():
    while True:
        gevent.sleep(0.05)


ticker = gevent.spawn(tick)
busy = {name: outcome(*case) for name, case in cases.items()}
ticker.kill()

print("CPython", sys.version.split()[0], "gevent", gevent.__version__)
for name in cases:
    print(f"  {name:12}  alone: {quiet[name]};  beside a greenlet that ticks: {busy[name]}")
if not all("block forever" in one for one in quiet.values()):
    sys.exit("this has changed")
if set(busy.values()) != {"returned"}:
    sys.exit("this has changed for a busy program")
PY

for version in 3.11 3.13; do
    python=$(venv "$version" gevent==26.9.0 greenlet==3.5.6)
    timeout 60 "$python" "$dir/t.py"
done
