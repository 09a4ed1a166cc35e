"""The first loop there is: the poller sleeps on its selector, and others are not lost by that."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import threading

import pytest

import gopark
import gopark.asyncio as ga
from gopark import net


class Counting:
    """In the place of an epoll."""

    def __init__(self, epoll):
        self.epoll = epoll
        self.polls = 0

    def __getattr__(self, name):
        return getattr(self.epoll, name)

    def poll(self, *args):
        self.polls += 1
        return self.epoll.poll(*args)


SEED = 20261201
handlers = set()


async def echo(reader, writer):
    handlers.add(asyncio.current_task())
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def serving():
    return await asyncio.start_server(echo, "127.0.0.1", 0)


def portof(server):
    return server.sockets[0].getsockname()[1]


def talk(port, times=20):
    with socket.create_connection(("127.0.0.1", port)) as conn:
        for n in range(times):
            conn.sendall(b"%d" % n)
            if conn.recv(100) != b"%d" % n:
                return "something else"
    return times


async def stop(server):
    server.close()
    await server.wait_closed()
    mine = {one for one in handlers if one.get_loop() is asyncio.get_running_loop()}
    await asyncio.gather(*mine)  # 3.11 does not wait for them
    handlers.difference_update(mine)


@pytest.mark.outside_help
async def test_a_round_is_one_system_call():
    server = await ga.call(serving())
    loop = ga._host.bridge()
    assert loop.gopark_berth.resident
    selector = loop.gopark_selector
    counting = selector._selector = loop.gopark_berth.epoll = Counting(selector._selector)
    before = counting.polls
    assert await gopark.spawn(talk, portof(server), 200) == 200
    polls = counting.polls - before
    assert 200 <= polls < 300, polls  # each request is a round: it was three times as many
    await ga.call(stop(server))


@pytest.mark.usefixtures("procs")
@pytest.mark.outside_help
async def test_loops_and_connections_beside_each_other():
    """One loop is the resident; another, and connections of gopark's, are served all the same."""
    stopping, ports = threading.Event(), gopark.Chan(2)

    def another():
        async def main():
            server = await serving()
            await ga.wait(ports.send(portof(server)))
            while not stopping.is_set():
                await asyncio.sleep(0.001)
            await stop(server)

        with asyncio.Runner(loop_factory=ga.new_event_loop) as runner:
            runner.run(main())

    async def served(conn):
        async with conn:
            while data := await conn.read(65536):
                await conn.write(data)

    async def accepts(ln):
        async for conn in ln:
            gopark.go(served, conn)

    server = await ga.call(serving())
    other = gopark.spawn(another)
    ln = net.listen("tcp", "127.0.0.1:0")
    gopark.go(accepts, ln)
    all_ports = [portof(server), await ports.recv(), ln.addr.port]
    talks = [gopark.spawn(talk, port) for port in all_ports * 4]
    assert [await one for one in talks] == [20] * 12
    await ga.call(stop(server))
    stopping.set()
    await other
    ln.close()


@pytest.mark.outside_help
async def test_when_it_is_closed_the_next_may_be_it_and_who_sleeps_is_told():
    ln = net.listen("tcp", "127.0.0.1:0")

    def turns():
        for _ in range(5):
            with asyncio.Runner(loop_factory=ga.new_event_loop) as runner:
                assert runner.get_loop().gopark_berth.resident
                server = runner.run(serving())
                runner.run(asyncio.to_thread(talk, portof(server)))
                runner.run(stop(server))

    turning = gopark.spawn(turns)
    for _ in range(5):
        client = gopark.spawn(socket.create_connection, ("127.0.0.1", ln.addr.port))
        async with await ln.accept() as conn:
            (await client).close()
            assert await conn.read(1) == b""
    await turning
    ln.close()


@pytest.mark.usefixtures("procs")
@pytest.mark.outside_help
async def test_it_hears_of_its_queue_and_of_its_timers_while_others_sleep_through_it():
    async def task():
        loop = asyncio.get_running_loop()
        for n in range(50):
            future = loop.create_future()
            thread = threading.Thread(target=loop.call_soon_threadsafe, args=(future.set_result, n))
            thread.start()
            assert await future == n
            await asyncio.sleep(0.0001)
            assert await ga.go(gopark.time.sleep, 0.0001) is None
            thread.join()

    await ga.call(task())


@pytest.mark.usefixtures("procs")
@pytest.mark.outside_help
async def test_it_may_be_closed_while_somebody_sleeps_on_it():
    """Its number may be another file's at once, and who sleeps there is out before that."""
    rng = random.Random(SEED)

    def turns():
        for _ in range(100):
            loop = ga.new_event_loop()
            loop.call_later(rng.random() / 1000, loop.stop)
            loop.run_forever()
            loop.close()
            os.close(os.dup(0))

    async def sleeps():
        while not turning.done:
            await gopark.time.sleep(rng.random() / 1000)

    turning = gopark.spawn(turns)
    for _ in range(3):
        gopark.go(sleeps)
    await turning
