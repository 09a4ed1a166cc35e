"""select: the first of several events wins, and a timeout is just one more event.

Three servers answer after different times. A request waits for an answer, but no longer than
it has to; a heartbeat goes on beside it, until it is told to stop by closing a channel.

    python examples/select_timeout.py
"""

from __future__ import annotations

import gopark
from gopark import Chan, recv, select
from gopark import time as gotime

TIMEOUT = 0.5
SERVERS = {"near": 0.0, "far": 0.02, "lost": 3600.0}


async def serve(name: str, delay: float, answer: Chan[str]) -> None:
    """Answer after a while. The buffer of one lets it go even if nobody waits any more."""
    await gotime.sleep(delay)
    await answer.send(f"hello from {name}")


async def ask(name: str) -> str:
    """The server's answer, or what there is to say without one."""
    answer = Chan[str](1)
    gopark.go(serve, name, SERVERS[name], answer)
    index, text, _ = await select(recv(answer), recv(gotime.after(TIMEOUT)))
    if index == 0:
        return str(text)
    return f"no answer from {name} within {TIMEOUT} seconds"


async def first(names: list[str]) -> str:
    """The answer of whoever is first; one case for each server."""
    answers = [Chan[str](1) for _ in names]
    for name, answer in zip(names, answers, strict=True):
        gopark.go(serve, name, SERVERS[name], answer)
    index, _, _ = await select(*[recv(answer) for answer in answers])
    return names[index]


async def heartbeat(every: float, stop: Chan[None], stopped: Chan[int]) -> None:
    """Beat until `stop` is closed: a receive from a closed channel is always ready."""
    beats = 0
    while True:
        index, _, _ = await select(recv(stop), recv(gotime.after(every)))
        if index == 0:
            break
        beats += 1
    await stopped.send(beats)


async def main() -> None:
    stop, stopped = Chan[None](), Chan[int]()
    gopark.go(heartbeat, 0.02, stop, stopped)

    for name in SERVERS:
        print(await ask(name))
    print("first of all:", await first(["lost", "near", "far"]))

    stop.close()
    beats = await stopped.recv()
    print("the heart beat meanwhile:", bool(beats))

    # `default` asks without waiting.
    index, _, _ = await select(recv(Chan[str]()), default=True)
    print("nothing is ready:", index == -1)
    # Main returns, and with it the program: the server that never answered is not waited for.


if __name__ == "__main__":
    gopark.run(main)
