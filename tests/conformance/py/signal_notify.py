import os
from signal import SIGUSR1, SIGUSR2

import gopark
from gopark import signal

NAMES = {SIGUSR1: "user defined signal 1", SIGUSR2: "user defined signal 2"}


def send(sig: int) -> None:
    os.kill(os.getpid(), sig)


async def take(ch: gopark.Chan) -> str:
    return NAMES[await ch.recv()]


def yes(value: bool) -> str:
    return str(value).lower()


async def main() -> None:
    a, b = gopark.Chan(4), gopark.Chan(4)
    signal.notify(a, SIGUSR1, SIGUSR2)
    signal.notify(b, SIGUSR2)
    send(SIGUSR1)
    print("a:", await take(a))
    send(SIGUSR2)
    print("a:", await take(a))
    print("b:", await take(b))

    signal.stop(a)
    send(SIGUSR2)
    print("b:", await take(b), "left for a", len(a))

    signal.ignore(SIGUSR1)
    print("ignored", yes(signal.ignored(SIGUSR1)), yes(signal.ignored(SIGUSR2)))
    send(SIGUSR1)
    send(SIGUSR2)
    print("b:", await take(b), "left", len(a), len(b))

    full = gopark.Chan()  # no room, nobody there: the signal is dropped
    signal.notify(full, SIGUSR2)
    send(SIGUSR2)
    print("b:", await take(b), "left", len(full))
    signal.notify(a, SIGUSR1)
    print("ignored", yes(signal.ignored(SIGUSR1)))


gopark.run(main)
