"""WebSockets, in both kinds, asked by wsproto's client side."""

from __future__ import annotations

import pytest

import gopark
from gopark.http import Limits
from httpends import serving

wsproto = pytest.importorskip("wsproto", reason="wsproto is not installed")
from wsproto.events import (  # noqa: E402 - if it is there
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate  # noqa: E402

LOOPS = pytest.mark.parametrize("loop", ["bare", "asyncio"])


class Peer:
    """The client's side."""

    def __init__(self, client):
        self.conn = client.conn
        self.ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self.found = []

    async def send(self, event):
        await self.conn.write(self.ws.send(event))

    async def next(self):
        while not self.found:
            data = await self.conn.read()
            self.ws.receive_data(data or None)
            self.found += self.ws.events()
        return self.found.pop(0)

    async def open(self, **more):
        await self.send(Request(host="test", target="/chat?room=1", **more))
        return await self.next()


async def echo(scope, receive, send):
    assert (scope["type"], scope["scheme"], scope["path"]) == ("websocket", "ws", "/chat")
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    ENDS.append(message)


ENDS = []


@LOOPS
async def test_messages_come_back_and_the_end_is_told(loop):
    ENDS.clear()
    async with serving(echo, loop=loop) as connect, connect() as client:
        peer = Peer(client)
        accepted = await peer.open(subprotocols=["chat", "other"])
        assert isinstance(accepted, AcceptConnection)
        assert accepted.subprotocol == "chat"
        await peer.send(TextMessage("hällo"))
        assert (await peer.next()).data == "hällo"
        await peer.send(BytesMessage(b"\x00\xff"))
        assert (await peer.next()).data == b"\x00\xff"
        await peer.send(Ping(b"?"))
        assert isinstance(answer := await peer.next(), Pong)
        assert answer.payload == b"?"
        await peer.send(CloseConnection(4000, "bye"))
        assert isinstance(await peer.next(), CloseConnection)
        assert await client.rest() == b""
    assert ENDS == [{"type": "websocket.disconnect", "code": 4000, "reason": "bye"}]


@LOOPS
async def test_a_client_that_just_leaves(loop):
    ENDS.clear()
    async with serving(echo, loop=loop) as connect:
        async with connect() as client:
            await Peer(client).open()
        while connect.server.conns:
            await gopark.testing.wait_all_parked()
    assert ENDS == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]


async def test_messages_in_parts_and_compressed():
    async with serving(echo) as connect, connect() as client:
        peer = Peer(client)
        await peer.open(extensions=[PerMessageDeflate()])
        text = "words and words " * 10_000
        await peer.send(TextMessage(text[:1000], message_finished=False))
        await peer.send(TextMessage(text[1000:]))
        said = ""
        while len(said) < len(text):
            said += (await peer.next()).data
        assert said == text


async def test_a_message_that_is_too_big_ends_it():
    async with serving(echo, limits=Limits(message_size=100)) as connect, connect() as client:
        peer = Peer(client)
        await peer.open()
        await peer.send(BytesMessage(b"x" * 101))
        assert (await peer.next()).code == 1009


@LOOPS
async def test_one_that_is_refused(loop):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.close"})

    async with serving(app, loop=loop) as connect, connect() as client:
        answer = await Peer(client).open()
        assert isinstance(answer, RejectConnection)
        assert answer.status_code == 403


async def test_one_that_is_refused_with_an_answer():
    async def app(scope, receive, send):
        await receive()
        head = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"a", b"b")]}
        await send(head)
        await send({"type": "websocket.http.response.body", "body": b"who are you"})

    async with serving(app) as connect, connect() as client:
        peer = Peer(client)
        answer = await peer.open()
        assert isinstance(answer, RejectConnection)
        assert (answer.status_code, (b"a", b"b") in answer.headers) == (401, True)
        assert isinstance(body := await peer.next(), RejectData)
        assert bytes(body.data) == b"who are you"


@pytest.mark.parametrize(("accepts", "code"), [(False, 500), (True, 1011)])
async def test_an_application_that_raises(accepts, code):
    async def app(scope, receive, send):
        await receive()
        if accepts:
            await send({"type": "websocket.accept"})
        raise ValueError("of the application")

    async with serving(app) as connect, connect() as client:
        peer = Peer(client)
        answer = await peer.open()
        if accepts:
            assert (await peer.next()).code == code
        else:
            assert answer.status_code == code


async def test_a_server_that_ends_says_so():
    ENDS.clear()
    async with serving(echo) as connect, connect() as client:
        peer = Peer(client)
        await peer.open()
        ending = gopark.spawn(connect.server.shutdown, 60)
        assert (await peer.next()).code == 1012
        await ending
    assert ENDS == [{"type": "websocket.disconnect", "code": 1012, "reason": "the server ends"}]


async def test_a_server_that_ends_amid_a_handshake_says_so_after_it():
    asked, go_on = gopark.Chan(), gopark.Chan()

    async def app(scope, receive, send):
        assert (await receive())["type"] == "websocket.connect"
        await asked.send(None)
        await go_on.recv()
        await send({"type": "websocket.accept"})
        assert (await receive()) == {
            "type": "websocket.disconnect",
            "code": 1012,
            "reason": "the server ends",
        }

    async with serving(app) as connect, connect() as client:
        peer = Peer(client)
        opening = gopark.spawn(peer.open)
        await asked.recv()
        ending = gopark.spawn(connect.server.shutdown, 60)
        while not connect.server.closing:
            await gopark.gosched()
        go_on.close()
        assert isinstance(await opening, AcceptConnection)
        assert (await peer.next()).code == 1012
        await ending


async def test_a_handshake_that_is_none_is_refused():
    async with serving(echo) as connect, connect() as client:
        lines = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        await client.send(lines)
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
