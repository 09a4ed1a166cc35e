#!/usr/bin/env bash
# asyncio: add_signal_handler and remove_signal_handler leave signal.set_wakeup_fd at -1, whatever
# stood there before. uvloop takes it while it runs, for no handler at all, and puts it back.
#
# Seen with: CPython 3.11.7, 3.12.1, 3.13.0 (asyncio); uvloop 0.23.0. Unix.
#
# A process has one wake-up descriptor, and set_wakeup_fd returns the one that stood before.
#
#                                          while it runs    afterwards
#     asyncio, no handler                  ours             ours
#     asyncio, one added and removed       taken            -1: nobody's
#     uvloop, no handler                   taken            ours
#     uvloop, one added and removed        taken            ours
#
# The guess: who takes it puts back what it found, as uvloop does, or says that it collides, as
# trio does with a RuntimeWarning. asyncio neither looks nor says anything.
#
# Why it matters: a runtime that learns of signals through the descriptor is deaf from the first
# library on that uses asyncio for a moment on the main thread. No error tells so; Ctrl-C just does
# not wake what waits for it.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import asyncio
import os
import signal
import socket
import sys

import uvloop

theirs, ours = socket.socketpair()
theirs.setblocking(False)
ours.setblocking(False)
signal.signal(signal.SIGUSR1, lambda *args: None)


def heard():
    os.kill(os.getpid(), signal.SIGUSR1)
    for _ in range(100):  # let the handler run
        pass
    try:
        return bool(theirs.recv(100))
    except BlockingIOError:
        return False


async def main(handler):
    loop = asyncio.get_running_loop()
    if handler:
        loop.add_signal_handler(signal.SIGUSR2, print)
    during = heard()
    if handler:
        loop.remove_signal_handler(signal.SIGUSR2)
    return during


results = {}
print("CPython", sys.version.split()[0], "uvloop", uvloop.__version__)
for name, factory in ("asyncio", asyncio.new_event_loop), ("uvloop", uvloop.new_event_loop):
    for handler in False, True:
        signal.set_wakeup_fd(ours.fileno())
        loop = factory()
        during = loop.run_until_complete(main(handler))
        loop.close()
        after, fd = heard(), signal.set_wakeup_fd(-1)
        assert after == (fd == ours.fileno())
        results[name, handler] = during, after
        print(f"  {name:7} handler={handler!s:5} we hear: {during} during, {after} after; fd {fd}")

if results != {
    ("asyncio", False): (True, True),
    ("asyncio", True): (False, False),
    ("uvloop", False): (False, True),
    ("uvloop", True): (False, True),
}:
    sys.exit("this has changed")
PY

for version in 3.11 3.12 3.13; do
    python=$(venv "$version" uvloop==0.23.0)
    "$python" "$dir/t.py"
done
