#!/usr/bin/env bash
# asyncio, uvloop, and anyio on asyncio: after a signal was listened for, the program's own handler
# is gone, and the signal's default, which ends the process, stands there. trio, and the same anyio
# call on trio, put the handler back.
#
# Seen with: CPython 3.11.7 and 3.13.0; uvloop 0.23.0, trio 0.35.0, anyio 4.16.0. Unix.
#
# Before each: signal.signal(SIGUSR1, mine). Then listened for and given up, then signal.getsignal:
#
#     asyncio  add_signal_handler, remove_signal_handler     SIG_DFL
#     uvloop   the same                                      SIG_DFL
#     trio     with open_signal_receiver                     mine
#     anyio    with open_signal_receiver, on asyncio         SIG_DFL
#     anyio    the same call, on trio                        mine
#
# For SIGINT asyncio puts Python's KeyboardInterrupt, so a process that was started with SIGINT
# ignored, as `cmd &` in a shell script is, stops ignoring it.
#
# The guess: "remove" undoes "add", and a `with` block leaves what it found; for anyio, that the
# backend does not matter.
#
# Why it matters: SIGTERM or SIGUSR1 is harmless up to the moment at which some library has listened
# for it in passing; the next one kills the process. A runtime that puts handlers back itself puts
# back what it found, which is then this default.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import asyncio
import signal
import sys

import anyio
import trio
import uvloop


def mine(signum, frame):
    pass


async def by_loop(signum=signal.SIGUSR1):
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signum, print)
    loop.remove_signal_handler(signum)


async def by_trio():
    with trio.open_signal_receiver(signal.SIGUSR1):
        pass


async def by_anyio():
    with anyio.open_signal_receiver(signal.SIGUSR1):
        pass


def run(factory, main):
    loop = factory()
    loop.run_until_complete(main)
    loop.close()


print("CPython", sys.version.split()[0])
bad = []
for name, do, expected in (
    ("asyncio", lambda: run(asyncio.new_event_loop, by_loop()), signal.SIG_DFL),
    ("uvloop", lambda: run(uvloop.new_event_loop, by_loop()), signal.SIG_DFL),
    ("trio", lambda: trio.run(by_trio), mine),
    ("anyio on asyncio", lambda: anyio.run(by_anyio, backend="asyncio"), signal.SIG_DFL),
    ("anyio on trio", lambda: anyio.run(by_anyio, backend="trio"), mine),
):
    signal.signal(signal.SIGUSR1, mine)
    do()
    found = signal.getsignal(signal.SIGUSR1)
    print(f"  {name:17} {'mine' if found is mine else found!r}")
    if found != expected:
        bad.append(name)

signal.signal(signal.SIGINT, signal.SIG_IGN)
run(asyncio.new_event_loop, by_loop(signal.SIGINT))
found = signal.getsignal(signal.SIGINT)
print("  asyncio, SIGINT that was ignored:", found)
if found is not signal.default_int_handler:
    bad.append("SIGINT")
if bad:
    sys.exit(f"this has changed: {', '.join(bad)}")
PY

for version in 3.11 3.13; do
    python=$(venv "$version" uvloop==0.23.0 trio==0.35.0 anyio==4.16.0)
    "$python" "$dir/t.py"
done
