"""Going to sleep in the network poller and back, where there is one P alone."""

from __future__ import annotations

import os

from harness import Ended, run_python

# A thread of Python sends on a channel, which chooses the M that sleeps, and on a socket, which is
# found by that M itself.
PROGRAM = """
import socket, threading
import gopark
from gopark import net

N = 2000

async def main():
    here, there = socket.socketpair()
    told, asked, read = gopark.Chan(1), gopark.Chan(1), gopark.Chan(1)
    go_on = threading.Semaphore(0)

    def thread():
        for _ in range(N):
            go_on.acquire()
            there.send(b"x")
            told.try_send(None)

    async def reader(conn):
        while await conn.read():
            await read.send(None)

    worker = threading.Thread(target=thread)
    worker.start()
    with net.from_socket(here) as conn, there:
        gopark.go(reader, conn)
        for _ in range(N):
            go_on.release()
            await told.recv()
            await read.recv()
    worker.join()
    print("OK")

gopark.run(main)
"""


def test_an_m_that_is_chosen_and_finds_something_itself_does_not_look_for_work_any_more():
    env = {**os.environ, "GOPARKDEBUG": "checksched=1", "GOMAXPROCS": "1"}
    assert run_python(["-c", PROGRAM], env=env) == Ended("OK\n", "", 0)
