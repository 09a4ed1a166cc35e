"""Does the work of a queue: writes each value it has done to a file, a line each.

worker.py URL NAME FILE [DELAY]
"""

import json
import os
import sys

import gopark
from gopark import workqueue

SETTINGS = json.loads(os.environ.get("QUEUE_SETTINGS", "{}"))


async def main() -> None:
    url, name, path, *delay = sys.argv[1:]
    out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async with await workqueue.open(name, url, **SETTINGS) as q:
        print("open", flush=True)

        async def work() -> None:
            async for d in q:
                async with d as value:
                    if delay:
                        await gopark.time.sleep(float(delay[0]))
                    os.write(out, f"{value}\n".encode())

        await gopark.gather(*(work() for _ in range(4)))


gopark.run(main)
