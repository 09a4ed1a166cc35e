#!/usr/bin/env bash
# uvloop: a child with stdout=PIPE has a socket there, not a pipe. `echo x >/dev/stdout`, or
# `/dev/stderr`, or `cat /dev/stdin`, fails in it: "No such device or address".
#
# Seen with: uvloop 0.23.0 on CPython 3.11.7 and 3.13.0; asyncio's own loop beside it. Linux.
#
# create_subprocess_exec("sh", "-c", ..., stdin=PIPE, stdout=PIPE, stderr=PIPE):
#
#                              asyncio            uvloop
#     echo x                   "x"                "x"
#     echo x >/dev/stdout      "x"                status not 0, nothing
#     echo x >/dev/stderr      "x" on stderr      status not 0
#     cat /dev/stdin           what was sent      status not 0, nothing
#     what 0, 1 and 2 are      pipes              sockets
#
# The guess: PIPE is a pipe: subprocess and asyncio say so, and uvloop is a drop-in replacement. libuv
# makes a socket pair for each, and Linux does not open a socket by its name in /proc.
#
# Why it matters: `/dev/stderr` and `/dev/stdin` are what shell scripts, `tee`, `curl -d @/dev/stdin`
# and a log file "at /dev/stdout" use. The same command works in a terminal, under subprocess and under
# asyncio, and not on the server, where uvloop is chosen by whoever installed it.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import asyncio
import sys
from asyncio.subprocess import PIPE

import uvloop


async def child(command, given):
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", command, stdin=PIPE if given else None, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate(given)
    return out, err, process.returncode


async def main():
    return [
        await child("echo x", None),
        await child("echo x >/dev/stdout", None),
        await child("echo x >/dev/stderr", None),
        await child("cat /dev/stdin; s=$?; cat >/dev/null; exit $s", b"in"),
        await child("readlink /proc/self/fd/0; readlink /proc/self/fd/2; cat >/dev/null", b"in"),
    ]


print("CPython", sys.version.split()[0], "uvloop", uvloop.__version__)
for name, factory, kind in (
    ("asyncio", asyncio.new_event_loop, b"pipe"),
    ("uvloop", uvloop.new_event_loop, b"socket"),
):
    loop = factory()
    plain, stdout, stderr, stdin, kinds = seen = loop.run_until_complete(main())
    loop.close()
    for out, err, status in seen:
        print(f"  {name:8} status {status} {out!r} {err!r}")
    assert plain == (b"x\n", b"", 0)
    assert kinds[0].count(kind) == 2, kinds
    works = [stdout == plain, stderr == (b"", b"x\n", 0), stdin == (b"in", b"", 0)]
    assert works == [name == "asyncio"] * 3, works
    assert [s[2] == 0 for s in (stdout, stderr, stdin)] == works
PY

for version in 3.11 3.13; do
    python=$(venv "$version" uvloop==0.23.0)
    "$python" "$dir/t.py"
done
