"""How a server begins, and how it ends."""

from __future__ import annotations

import logging

import pytest

import gopark
from gopark import net, testing
from gopark.http import Limits, Timeouts
from httpends import Client, answering, serving


async def test_at_the_end_what_is_under_way_is_answered():
    go_on = gopark.Chan()

    async def app(scope, receive, send):
        await go_on.recv_ok()
        await answering()(scope, receive, send)

    async with serving(app) as connect, connect() as busy, connect() as idle:
        await busy.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await testing.wait_all_parked()
        ending = gopark.spawn(connect.server.shutdown, 60)
        await testing.wait_all_parked()
        assert not ending.done
        with pytest.raises(ConnectionRefusedError):
            await net.dial("tcp", connect.addr)
        go_on.close()
        answer = await busy.answer()
        assert (answer.body, answer.headers["connection"]) == (b"hello", "close")
        await ending
        await connect.done
        assert await idle.rest() == b""


async def test_idle_connections_do_not_hold_it_up():
    async with serving(answering()) as connect, connect() as client:
        assert (await client.get()).status == 200
        await connect.server.shutdown(600)
        assert await client.rest() == b""


async def test_what_takes_too_long_then_is_cut_and_said(caplog):
    async def app(scope, receive, send):
        await gopark.Chan().recv()

    async with serving(app, timeouts=Timeouts(shutdown=0.05)) as connect, connect() as client:
        await client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await testing.wait_all_parked()
        with caplog.at_level(logging.WARNING):
            await connect.server.shutdown()
        assert "1 requests were cut: GET /slow" in caplog.text
        assert await client.rest() == b""


async def test_no_more_connections_than_it_may_have_are_accepted():
    async with serving(answering(), limits=Limits(connections=1)) as connect:
        async with connect() as one, connect() as two:
            assert (await one.get()).status == 200
            await two.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await testing.wait_all_parked()
            assert len(connect.server.conns) == 1
            one.conn.close()
            assert (await two.answer()).status == 200


async def test_it_serves_on_a_unix_socket(tmp_path):
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await answering()(scope, receive, send)

    path = str(tmp_path / "s")
    server = gopark.http.Server(app, loop="bare", lifespan="off")
    gopark.go(server.serve, net.listen("unix", path))
    with await net.dial("unix", path) as conn:
        assert (await Client(conn).get()).body == b"hello"
    await server.shutdown()
    assert (scopes[0]["client"], scopes[0]["server"]) == (None, (path, None))


async def test_a_server_serves_once():
    async with serving(answering()) as connect:
        await testing.wait_all_parked()
        with pytest.raises(RuntimeError, match="make another Server"):
            await connect.server.serve()


def test_what_is_wrong_is_said():
    for what, error, text in (
        ({"app": 3}, TypeError, "cannot be called"),
        ({"app": print, "interface": "cgi"}, ValueError, "auto, asgi, wsgi"),
        ({"app": answering(), "loop": "uvloop"}, ValueError, "auto, bare, asyncio"),
        ({"app": answering(), "lifespan": 1}, ValueError, "auto, on, off"),
        ({"app": answering(), "limits": 1}, TypeError, "Limits"),
        ({"app": int}, TypeError, "factory"),
    ):
        with pytest.raises(error, match=text):
            gopark.http.Server(**what)
    with pytest.raises(ValueError, match="idle is above 0, got -1"):
        Timeouts(idle=-1)
    with pytest.raises(TypeError, match="body_size is an integer"):
        Limits(body_size="1M")
    for what in ("root_path", "server_header"):
        with pytest.raises(TypeError, match=rf"Server\(\) needs a string as {what}, got 1"):
            gopark.http.Server(answering(), **{what: 1})
    with pytest.raises(TypeError, match="proxies is a list of addresses, got 1"):
        gopark.http.Server(answering(), proxies=1)


async def test_what_is_no_listener_is_refused_and_ends_nothing():
    server = gopark.http.Server(answering(), loop="bare", lifespan="off")
    for wrong in (None, "127.0.0.1:0", 8000):
        with pytest.raises(TypeError, match=r"Server.serve\(\) needs what net.listen"):
            await server.serve(wrong)
    with pytest.raises(TypeError, match=r"Server.shutdown: the grace must be .* got 'x'"):
        await server.shutdown("x")
    gopark.go(server.serve, ln := gopark.net.listen("tcp", "127.0.0.1:0"))
    async with await gopark.net.dial("tcp", ln.addr) as conn:
        assert (await Client(conn).get()).body == b"hello"
    await server.shutdown()


@pytest.mark.parametrize("how", ["close", "shutdown"])
async def test_one_that_has_ended_before_it_serves_has_nothing_to_do(how):
    server = gopark.http.Server(answering(), loop="bare", lifespan="off")
    ended = getattr(server, how)()
    if ended is not None:
        await ended
    ln = net.listen("tcp", "127.0.0.1:0")
    await server.serve(ln)
    with pytest.raises(ConnectionRefusedError):
        await net.dial("tcp", ln.addr)
