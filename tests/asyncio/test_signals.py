"""`loop.add_signal_handler` on the program's loop."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

import gopark.asyncio as ga


@pytest.mark.usefixtures("procs")
@pytest.mark.parametrize("sig", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
async def test_a_handler_is_called_in_the_loop(sig):
    async def task():
        loop = asyncio.get_running_loop()
        got = asyncio.Queue()
        loop.add_signal_handler(sig, got.put_nowait, sig)
        for _ in range(3):
            os.kill(os.getpid(), sig)
            assert await got.get() == sig
        assert loop.remove_signal_handler(sig)
        assert not loop.remove_signal_handler(sig)

    before = signal.getsignal(sig)
    await ga.call(task())
    assert signal.getsignal(sig) is before


async def test_another_handler_takes_the_place_of_the_first():
    async def task():
        loop = asyncio.get_running_loop()
        first, second = asyncio.Queue(), asyncio.Queue()
        loop.add_signal_handler(signal.SIGUSR1, first.put_nowait, 1)
        loop.add_signal_handler(signal.SIGUSR1, second.put_nowait, 2)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert await second.get() == 2
        assert first.empty()
        loop.remove_signal_handler(signal.SIGUSR1)

    await ga.call(task())


def test_handlers_are_gone_when_the_program_is(run):
    before = signal.getsignal(signal.SIGUSR1)

    async def task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)

    async def main():
        await ga.call(task())

    run(main)
    assert signal.getsignal(signal.SIGUSR1) is before


async def test_mistakes_are_those_of_asyncio():
    async def coro():
        """One that must not be a handler."""

    loop = ga.start()
    with pytest.raises(TypeError, match="coroutines cannot be used"):
        loop.add_signal_handler(signal.SIGUSR1, coro)
    with pytest.raises(ValueError, match="invalid signal number"):
        loop.add_signal_handler(10_000, print)
    with pytest.raises(RuntimeError, match="cannot be caught"):
        loop.add_signal_handler(signal.SIGKILL, print)


def test_ctrl_c_comes_to_main_and_the_tasks_are_ended(run):
    ended = []

    async def forever():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(600)
        finally:
            ended.append(True)

    async def main():
        await ga.call(forever())

    with pytest.raises(KeyboardInterrupt):
        run(main)
    assert ended == [True]
