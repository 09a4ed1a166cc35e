"""Sends numbers to a queue, and writes down each that was confirmed.

sender.py URL NAME FILE FIRST COUNT
"""

import json
import os
import sys

import gopark
from gopark import workqueue

SETTINGS = json.loads(os.environ.get("QUEUE_SETTINGS", "{}"))


async def main() -> None:
    url, name, path, first, count = sys.argv[1:]
    out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async with await workqueue.open(name, url, **SETTINGS) as q:
        print("open", flush=True)
        for n in range(int(first), int(first) + int(count)):
            await q.send(n)
            os.write(out, f"{n}\n".encode())


gopark.run(main)
