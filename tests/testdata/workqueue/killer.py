"""A worker whose only function kills it.

killer.py URL NAME
"""

import os
import signal
import sys

import gopark
from gopark import context, workqueue


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    async with await workqueue.open(sys.argv[2], sys.argv[1]) as q:
        await workqueue.serve(context.background(), q, die)


if __name__ == "__main__":
    sys.modules["killer"] = sys.modules["__main__"]
    die.__module__ = "killer"
    gopark.run(main)
