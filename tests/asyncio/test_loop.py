"""The loop itself: asyncio's, but for how it sleeps and who runs it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time

import pytest

import gopark
import gopark.asyncio as ga
from gopark._runtime.sched import startm
from harness import run_python

outside = pytest.mark.outside_help


def plainly(fn, *args):
    """`asyncio.run(fn(*args))` on a loop of ours, in plain code."""
    with asyncio.Runner(loop_factory=ga.new_event_loop) as runner:
        return runner.run(fn(*args))


# --- sleeping and waking ---------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_timers_fire_in_their_order_and_not_before():
    async def task():
        loop = asyncio.get_running_loop()
        fired, done = [], asyncio.Event()
        began = loop.time()
        for delay in (0.03, 0.01, 0.02, 0.0):
            at = began + delay  # not from now on: on a busy machine the next is made much later
            loop.call_at(at, lambda d=delay: fired.append((d, loop.time() - began)))
        loop.call_later(0.001, fired.append, None).cancel()
        loop.call_later(0.04, done.set)
        await done.wait()
        assert [d for d, _ in fired] == [0.0, 0.01, 0.02, 0.03]
        assert all(after >= delay - 0.001 for delay, after in fired)

    await ga.call(task())


@outside
async def test_a_thread_of_pythons_wakes_it():
    async def task():
        loop = asyncio.get_running_loop()
        for _ in range(50):
            future = loop.create_future()
            thread = threading.Thread(
                target=loop.call_soon_threadsafe, args=(future.set_result, True)
            )
            thread.start()
            assert await future
            thread.join()

    await ga.call(task())


@pytest.mark.usefixtures("procs")
async def test_a_goroutine_wakes_it():
    async def task(loop, ready, future):
        await ready.send((loop, future))
        return await future

    async def waits(ready):
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        ready.try_send((loop, future))
        return await future

    for n in range(50):
        ready, got = gopark.Chan(1), gopark.Chan(1)

        async def one(ready=ready, got=got):
            await got.send(await ga.call(waits(ready)))

        gopark.go(one)
        loop, future = await ready.recv()
        await gopark.gosched()
        loop.call_soon_threadsafe(future.set_result, n)
        assert await got.recv() == n


@outside
@pytest.mark.usefixtures("procs")
async def test_connections_over_it():
    async def echo(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def client(port, size):
        data = os.urandom(size)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        writer.write_eof()
        assert await reader.read() == data
        writer.close()
        await writer.wait_closed()

    async def task():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        await asyncio.gather(*(client(port, size) for size in (1, 1000, 300_000) * 10))
        server.close()
        await server.wait_closed()

    await ga.call(task())


async def test_a_busy_loop_looks_at_its_descriptors():
    async def task():
        a, b = socket.socketpair()
        with a, b:
            a.setblocking(False)
            loop = asyncio.get_running_loop()
            busy = True

            def again():
                if busy:
                    loop.call_soon(again)

            again()
            b.send(b"x")
            assert await loop.sock_recv(a, 1) == b"x"
            busy = False

    await ga.call(task())


@pytest.mark.usefixtures("procs")
async def test_a_loop_that_is_busy_lets_goroutines_run():
    async def busy(stop):
        while not stop:
            await asyncio.sleep(0)

    stop = []
    done = gopark.Chan()

    async def counts():
        for _ in range(1000):
            await gopark.gosched()
        stop.append(True)
        await done.send(None)

    gopark.go(counts)
    await ga.call(busy(stop))
    await done.recv()


async def test_a_task_that_computes_does_not_make_the_loop_a_hog():
    def spin():
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass

    async def task():
        for _ in range(3):
            spin()
            await asyncio.sleep(0)

    done = gopark.Chan()

    async def other():
        for _ in range(50):
            await gopark.time.sleep(0.001)
        await done.send(None)

    gopark.go(other)
    await ga.call(task())
    await done.recv()
    names = {getattr(code, "co_qualname", "") for code in startm.current().hogcodes}
    assert "asyncio.loop" not in names


# --- what asyncio keeps by thread ------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_all_tasks_and_the_current_one():
    async def other():
        await asyncio.Event().wait()

    async def task():
        mine = [asyncio.create_task(other()) for _ in range(5)]
        await asyncio.sleep(0.005)
        assert asyncio.all_tasks() == {*mine, asyncio.current_task()}
        assert asyncio.all_tasks(asyncio.get_running_loop()) == {*mine, asyncio.current_task()}
        await ga.go(gopark.gosched)
        for one in mine:
            one.cancel()
        await asyncio.wait(mine)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    await ga.call(task())


async def test_tasks_are_found_after_the_loop_has_changed_threads():
    """From 3.14 on asyncio looks at the calling thread's own alone."""

    async def other():
        await asyncio.Event().wait()

    async def begin():
        return asyncio.create_task(other())

    before = gopark.runtime.gomaxprocs(4)
    try:
        one = await ga.call(begin())
        found = []
        for _ in range(30):
            blocked = gopark.Chan()

            def holds(blocked=blocked):
                time.sleep(0.003)
                gopark.block(blocked.send(None))

            gopark.go(holds)

            async def look():
                found.append((threading.get_ident(), one in asyncio.all_tasks()))

            await ga.call(look())
            await blocked.recv()
        assert all(there for _, there in found)

        async def end():
            one.cancel()

        await ga.call(end())
    finally:
        gopark.runtime.gomaxprocs(before)


@pytest.mark.usefixtures("procs")
async def test_async_generators_of_tasks_are_closed_by_the_loop():
    closed = []

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append(asyncio.get_running_loop())

    async def task():
        async for _ in numbers():
            break
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        return asyncio.get_running_loop()

    assert [await ga.call(task())] == closed


# --- debug mode, handlers --------------------------------------------------------------------


async def test_debug_mode_tells_of_slow_callbacks(caplog):
    async def task():
        asyncio.get_running_loop().slow_callback_duration = 0.001
        await asyncio.sleep(0)
        time.sleep(0.01)
        await asyncio.sleep(0)

    loop = ga.start()
    loop.set_debug(True)
    with caplog.at_level(logging.WARNING, "asyncio"):
        await ga.call(task())
    assert any("took" in record.message for record in caplog.records)
    loop.set_debug(False)


async def test_debug_mode_refuses_call_soon_from_another_thread():
    loop = ga.start()
    loop.set_debug(True)
    got = gopark.Chan()

    def plain():
        try:
            loop.call_soon(print)
        except RuntimeError as exc:
            gopark.block(got.send(exc))
        else:
            gopark.block(got.send(None))

    async def begun():
        return threading.get_ident()

    await ga.call(begun())
    gopark.go(plain)
    assert "Non-thread-safe" in str(await got.recv())
    loop.set_debug(False)


async def test_an_exception_handler_gets_what_callbacks_raise():
    seen = []

    async def task():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, what: seen.append(what["exception"]))
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    await ga.call(task())
    assert [type(exc) for exc in seen] == [ZeroDivisionError]


# --- executors, children ---------------------------------------------------------------------


@outside
async def test_an_executor_and_names():
    async def task():
        assert await asyncio.to_thread(lambda: 5) == 5
        found = await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        assert found

    await ga.call(task())


@outside
async def test_children():
    async def task():
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print(input())", stdin=-1, stdout=-1
        )
        assert await child.communicate(b"hello\n") == (b"hello\n", None)
        child = await asyncio.create_subprocess_shell("exit 3")
        assert await child.wait() == 3
        child = await asyncio.create_subprocess_exec("sleep", "600")
        child.terminate()
        assert await child.wait() == -signal.SIGTERM

    await ga.call(task())


# --- asyncio.run, and loops that are run by plain code ---------------------------------------


@outside
async def test_asyncio_run_in_a_goroutine():
    got = gopark.Chan()

    def plain():
        gopark.block(got.send(asyncio.run(asyncio.sleep(0.001, "slept"))))

    gopark.go(plain)
    assert await got.recv() == "slept"


@outside
def test_a_program_that_is_asyncio_all_the_way(run):
    async def main():
        ch = gopark.Chan()
        gopark.go(ch.send, 1)
        return await ga.wait(ch.recv()) + await asyncio.sleep(0.001, 1)

    assert run(asyncio.run, main(), outside_help=True) == 2


@outside
def test_a_loop_of_ours_in_a_plain_main(run):
    async def main():
        async def goroutine():
            return await ga.call(asyncio.sleep(0.001, 5))

        return await ga.go(goroutine)

    assert run(plainly, main) == 5


@pytest.mark.usefixtures("procs")
async def test_a_task_of_such_a_loop_may_block():
    """It holds up its own loop, and nobody else."""

    async def blocks(ch):
        return gopark.block(ch.recv())

    ch, got = gopark.Chan(), gopark.Chan()
    gopark.go(lambda: gopark.block(got.send(plainly(blocks, ch))))
    await ch.send("there")
    assert await got.recv() == "there"


@outside
def test_in_the_child_of_a_fork_a_loop_can_be_made_and_run():
    assert run_python(["-c", FORKS]).stdout == "b'hello\\n'\n0\n"


FORKS = """
import asyncio, os, warnings, gopark
import gopark.asyncio as ga

warnings.simplefilter("ignore", DeprecationWarning)  # there are threads: that is the point

def plainly(coro):
    with asyncio.Runner(loop_factory=ga.new_event_loop) as runner:
        return runner.run(coro)

async def child():
    process = await asyncio.create_subprocess_exec("echo", "hello", stdout=-1)
    print((await process.communicate())[0], flush=True)

async def main():
    pid = os.fork()
    if pid == 0:
        asyncio.events._set_running_loop(None)
        plainly(child())
        os._exit(0)
    print(os.waitpid(pid, 0)[1], flush=True)

gopark.run(plainly, main())
"""


@pytest.mark.usefixtures("procs")
async def test_while_such_a_loop_waits_its_thread_is_nobodys_burden():
    async def waits(ch):
        return await ga.wait(ch.recv())

    chans = [gopark.Chan() for _ in range(5)]
    got = gopark.Chan()
    for ch in chans:
        gopark.go(lambda ch=ch: gopark.block(got.send(plainly(waits, ch))))
    for n, ch in enumerate(chans):
        await ch.send(n)
    assert sorted([await got.recv() for _ in chans]) == [0, 1, 2, 3, 4]


ALONE = """
import asyncio
import gopark.asyncio as ga

async def main():
    process = await asyncio.create_subprocess_exec("echo", "hello", stdout=-1)
    print((await process.communicate())[0])

with asyncio.Runner(loop_factory=ga.new_event_loop) as runner:
    runner.run(main())
"""


def test_without_a_program_such_a_loop_runs_as_well():
    assert run_python(["-c", ALONE]).stdout == "b'hello\\n'\n"


async def test_a_loop_that_is_not_closed_says_so():
    loops = [ga.new_event_loop()]
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        loops.clear()
    gc.collect()


async def test_a_closed_loop_takes_nothing():
    loop = ga.new_event_loop()
    loop.close()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon_threadsafe(print)


async def test_descriptors_are_given_back():
    def count():
        return len(os.listdir("/proc/self/fd"))

    with contextlib.closing(ga.new_event_loop()):
        pass
    before = count()
    for _ in range(5):
        ga.new_event_loop().close()
    assert count() == before


def test_a_task_that_stops_the_programs_loop_stops_nobody():
    """Who waits for a call would wait for ever; and no other task would go on."""
    said = []

    async def stops():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: said.append(context["message"]))
        loop.stop()
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
            loop.close()
        return "after"

    async def main():
        assert await ga.call(stops()) == "after"
        assert await ga.call(asyncio.sleep(0, "another")) == "another"

    gopark.run(main)
    assert said == [
        "loop.stop() was called on the program's event loop, which goes on: it ends when main "
        "returns"
    ]
