"""Sends numbers to a queue, and writes down each that was confirmed.

sender.py URL NAME FILE FIRST COUNT
"""

import os
import sys

import gopark
from gopark import workqueue


async def main() -> None:
    url, name, path, first, count = sys.argv[1:]
    out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async with await workqueue.open(name, url) as q:
        print("open", flush=True)
        for n in range(int(first), int(first) + int(count)):
            await q.send(n)
            os.write(out, f"{n}\n".encode())


gopark.run(main)
