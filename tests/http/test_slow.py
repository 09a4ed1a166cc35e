"""Clients that are slow on purpose leave by deadline, and cost no thread."""

from __future__ import annotations

import resource
import threading

import pytest

import gopark
from gopark import net
from gopark.http import Timeouts
from httpends import answering, echo, serving

SOON = 0.05
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("sent", "timeouts", "said"),
    [
        (b"", {"header": SOON}, b""),
        (HEAD, {"header": SOON}, b"HTTP/1.1 408 "),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
            {"body": SOON},
            b"HTTP/1.1 408 ",
        ),
    ],
)
async def test_what_does_not_come_in_time(sent, timeouts, said):
    async with serving(echo, timeouts=Timeouts(**timeouts)) as connect, connect() as client:
        if sent:
            await client.send(sent)
        answer = await client.rest()
    assert answer.startswith(said)
    assert bool(answer) is bool(said)


async def test_a_connection_that_is_idle_is_closed_without_a_word():
    timeouts = Timeouts(idle=SOON)
    async with serving(answering(), timeouts=timeouts) as connect, connect() as client:
        assert (await client.get()).status == 200
        assert await client.rest() == b""


async def test_who_sends_a_byte_now_and_then_does_not_win_time_by_that():
    async with serving(echo, timeouts=Timeouts(header=0.2)) as connect, connect() as client:
        for byte in HEAD * 1000:
            try:
                await client.send(bytes([byte]))
            except ConnectionError:
                break
            await gopark.time.sleep(0.01)
        else:
            pytest.fail("it was let go on")


async def test_a_client_that_does_not_read_its_answer_is_left():
    ended = gopark.Chan(1)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send(
                    {"type": "http.response.body", "body": b"x" * 100_000, "more_body": True}
                )
        except OSError as exc:
            await ended.send(exc)
            raise

    async with serving(app, timeouts=Timeouts(write=SOON)) as connect, connect() as client:
        await client.send(HEAD + b"\r\n")
        assert isinstance(await ended.recv(), TimeoutError)


@pytest.fixture
def descriptors():
    """Enough of them for both ends of 1,000 connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip(f"a process may have no more than {hard} descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("descriptors")
async def test_a_thousand_slow_clients_cost_no_threads_keep_nobody_waiting_and_leave():
    async with serving(answering(), timeouts=Timeouts(header=3)) as connect:
        before = threading.active_count()
        conns = []
        for _ in range(1000):
            conns.append(await net.dial("tcp", connect.addr))
            await conns[-1].write(b"G")
        async with connect() as client:
            assert (await client.get()).status == 200
        most = threading.active_count()
        for conn in conns:
            said = b""
            while data := await conn.read():
                said += data
                most = max(most, threading.active_count())
            assert said.startswith(b"HTTP/1.1 408 ")
            conn.close()
        assert most <= before + 4


async def test_an_application_that_takes_too_long_is_ended():
    async def app(scope, receive, send):
        await gopark.Chan().recv()

    async with serving(app, timeouts=Timeouts(response=SOON)) as connect, connect() as client:
        answer = await client.get()
        assert answer.status == 503
