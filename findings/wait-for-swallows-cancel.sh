#!/usr/bin/env bash
# CPython 3.11: task.cancel() says True, and the task goes on as if nothing had been, if what it
# waits for in asyncio.wait_for became ready at the same moment.
#
# Seen with: CPython 3.11.7; not with 3.12.1 and 3.13.0.
#
# A task is in `await asyncio.wait_for(queue.get(), 10)`; then, in one step of the loop:
# queue.put_nowait("v"); task.cancel().
#
#     3.11.7           cancel() True; wait_for returns "v"; the task's cancelling() stays 1
#     3.12.1, 3.13.0   cancel() True; CancelledError in the task; "v" is still in the queue
#     without wait_for: CancelledError, in all of them
#
# The guess: CancelledError, as without wait_for, whose only addition is a time.
#
# Why it matters: a worker in `while True: item = await wait_for(queue.get(), ...)` misses its end
# when an item comes at the same time, and whoever awaits it waits until the next cancel. Code that
# is moved from there to channels may have been built around that.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import asyncio
import sys


async def worker(queue, timeout):
    get = queue.get()
    try:
        value = await (asyncio.wait_for(get, 10) if timeout else get)
    except asyncio.CancelledError:
        return "CancelledError"
    await asyncio.sleep(0.01)  # a later chance to raise it
    return value


async def main(timeout):
    queue = asyncio.Queue()
    task = asyncio.create_task(worker(queue, timeout))
    await asyncio.sleep(0.01)
    queue.put_nowait("v")
    told = task.cancel()
    return told, await task, queue.qsize(), task.cancelling()


with_timeout, without = asyncio.run(main(True)), asyncio.run(main(False))
print("CPython", sys.version.split()[0])
print("  (cancel() said, the worker got, left in the queue, cancelling())")
print("  with wait_for:", with_timeout)
print("  without:      ", without)
cancelled = True, "CancelledError", 1, 1
if with_timeout != ((True, "v", 0, 1) if sys.version_info < (3, 12) else cancelled):
    sys.exit("this has changed")
if without != cancelled:
    sys.exit("this has changed without wait_for")
PY

for version in 3.11 3.12 3.13; do
    python=$(need "$version")
    "$python" "$dir/t.py"
done
