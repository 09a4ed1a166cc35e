#!/usr/bin/env bash
# CPython 3.14 as free-threaded builds run it: what a ThreadPoolExecutor calls sees the context variables
# of whoever submitted the first call, for as long as its thread lives.
#
# Seen with: CPython 3.14.10 and 3.15.2, `-X thread_inherit_context=1`, which is the default of their
# free-threaded builds (docs, "command line and environment"); without it, as with a GIL, neither.
#
# A pool of one thread. Request A sets a variable to "A" and submits a call that reads it; then B does:
#
#                                      A reads    B reads
#     thread_inherit_context=0         default    default
#     thread_inherit_context=1         "A"        "A"
#     asyncio.to_thread, either        "A"        "B"
#
# The guess: nothing, as ever, or, since threads inherit the context now, the caller's. But a thread of a
# pool is started by one `submit` and works for all that follow.
#
# Why it matters: what lies in context variables is the request's id, its user, its locale, its open
# transaction. A log line with no id becomes one with the id of another request; and tests, with one
# request, see the value that they hope for.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context

request = ContextVar("request", default="default")


def handle(pool, name):
    request.set(name)
    return pool.submit(request.get).result()


async def by_asyncio(name):
    request.set(name)
    return await asyncio.to_thread(request.get)


async def both():
    return [await asyncio.create_task(by_asyncio(name)) for name in "AB"]


with ThreadPoolExecutor(1) as pool:
    seen = [copy_context().run(handle, pool, name) for name in "AB"]
to_thread = asyncio.run(both())
inherits = sys.flags.thread_inherit_context
print("CPython", sys.version.split()[0], "thread_inherit_context", inherits)
print("  A and B read in the pool:", seen, "in to_thread:", to_thread)
if seen != (["A", "A"] if inherits else ["default"] * 2) or to_thread != ["A", "B"]:
    sys.exit("this has changed")
PY

for version in 3.14 3.15; do
    python=$(need "$version")
    for inherits in 0 1; do
        "$python" -X thread_inherit_context=$inherits "$dir/t.py"
    done
done
