#!/usr/bin/env bash
# CPython 3.14 and later: asyncio.all_tasks() of the running loop leaves out the tasks that were
# made on another thread.
#
# Seen with: CPython 3.14.10, 3.15.2; not with 3.11.7, 3.12.1 and 3.13.0.
#
# A task is made for a loop on one thread; then the loop runs on another one.
#
#     up to 3.13       all_tasks() there has the task
#     3.14 and later   all_tasks() there is empty, and so is all_tasks(loop). Asked while the loop
#                      does not run on the calling thread, all_tasks(loop) has it
#
# The guess: the tasks of a loop are those that were made for it, wherever.
#
# Why it matters: who has a loop run now on this thread, now on that, one after the other, or makes
# tasks before the thread of the loop is started, finds nothing to cancel at the end: asyncio.Runner
# closes the loop, and "Task was destroyed but it is pending!" is all that is left of them.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import asyncio
import sys
import threading


async def look():
    loop = asyncio.get_running_loop()
    return task in asyncio.all_tasks(), task in asyncio.all_tasks(loop)


loop = asyncio.new_event_loop()
task = loop.create_task(asyncio.sleep(600))
seen = []
thread = threading.Thread(target=lambda: seen.extend(loop.run_until_complete(look())))
thread.start()
thread.join()
apart = task in asyncio.all_tasks(loop)
task.cancel()
loop.run_until_complete(asyncio.wait([task]))
loop.close()
print("CPython", sys.version.split()[0])
print("  all_tasks(), all_tasks(loop), on the loop's thread:", seen)
print("  all_tasks(loop), on another:", apart)
if seen != [sys.version_info < (3, 14)] * 2 or not apart:
    sys.exit("this has changed")
PY

for version in 3.14 3.15; do
    python=$(need "$version")
    "$python" "$dir/t.py"
done
