"""One job for each picture, done by two worker processes; one worker dies, and nothing is lost.

With another URL the workers may run on other machines: `nats://host:4222` in place of `local:`, and
`gopark worker pictures --url nats://host:4222` there.
"""

import sys
import tempfile

import gopark
from gopark import exec, workqueue

WORKER = """
import os, signal, sys
import gopark
from gopark import workqueue

async def main():
    async with await workqueue.open("pictures", sys.argv[1]) as q:
        async for d in q:
            async with d as picture:
                if picture == sys.argv[2] and d.tries == 1:
                    os.kill(os.getpid(), signal.SIGKILL)  # out of memory, say
                more = f", at try {d.tries}" if picture == sys.argv[2] else ""
                print(f"{picture} is done{more}", flush=True)

gopark.run(main)
"""


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"local:{folder}"
        async with await workqueue.open("pictures", url, lease=30.0, tries=3) as q:
            for n in range(6):
                await q.send(f"picture {n}")
            await q.close()  # nobody sends any more: workers end when all is done

            done = bytearray()

            async def work() -> None:
                worker = exec.command(sys.executable, "-c", WORKER, url, "picture 3")
                worker.stdout = done
                try:
                    await worker.run()
                except exec.ExitError as exc:
                    print("a worker has ended:", exc)

            await gopark.gather(work(), work())
            if (await q.stats()).waiting:
                await work()
            print(*sorted(done.decode().splitlines()), sep="\n")


if __name__ == "__main__":
    gopark.run(main)
