"""Has a call out that nobody serves, and says so.

owner.py URL NAME
"""

import sys

import gopark
from gopark import workqueue


async def main() -> None:
    async with await workqueue.open(sys.argv[2], sys.argv[1]) as q, workqueue.Group(q) as g:
        g.go("math:sqrt", 4)
        while not (await q.stats()).waiting:
            await gopark.gosched()
        print("open", flush=True)
        await gopark.time.sleep(600)


gopark.run(main)
