import os
from signal import SIGTERM

import gopark
from gopark import signal


async def main() -> None:
    ch = gopark.Chan(1)
    signal.notify(ch, SIGTERM)
    os.kill(os.getpid(), SIGTERM)
    await ch.recv()
    print("survived: terminated", flush=True)
    signal.reset(SIGTERM)
    os.kill(os.getpid(), SIGTERM)
    await gopark.select()


gopark.run(main)
