"""A WebSocket of a real browser's: what Chromium sends and takes, with compression as it asks."""

from __future__ import annotations

import asyncio

import pytest

import gopark
from browser import CHROMIUM, Browser
from gopark.http import _websocket
from httpends import answering, serving

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium"),
    pytest.mark.skipif(not _websocket.available(), reason="wsproto is not installed"),
]

PAGE = b"<!doctype html><title>sockets</title><link rel=icon href='data:,'>"
OPEN = """
    new Promise((done, failed) => {
        window.said = [];
        window.over = null;
        window.ws = new WebSocket("ws://" + location.host + "%s", %s);
        ws.binaryType = "arraybuffer";
        ws.onmessage = (m) => said.push(typeof m.data == "string" ? m.data : m.data.byteLength);
        ws.onclose = (c) => { over = [c.code, c.reason, c.wasClean]; failed("closed"); };
        ws.onopen = () => done([ws.protocol, ws.extensions]);
    })
"""


async def app(scope, receive, send):
    if scope["type"] == "http":
        await answering(PAGE, headers=[(b"content-type", b"text/html")])(scope, receive, send)
        return
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"] == "/refused":
        await send({"type": "websocket.close"})
        return
    wanted = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": wanted[-1] if wanted else None})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "end":
            await send({"type": "websocket.close", "code": 3333, "reason": "as asked"})
        else:
            await send({**message, "type": "websocket.send"})


async def onloop(scope, receive, send):
    await asyncio.sleep(0)
    await app(scope, receive, send)


@pytest.fixture(scope="module")
def browser():
    with Browser() as one:
        yield one


@pytest.fixture(params=["bare", "asyncio", "auto"])
def where(request):
    if request.param == "bare":
        return app, {}
    loops = "auto" if request.param == "auto" else 1
    return onloop, {"loop": "asyncio", "loops": loops}


async def test_messages_of_all_sizes_come_back(browser, where):
    """The calls of the browser block their thread: the server goes on meanwhile."""
    served, options = where
    async with serving(served, **options) as connect:
        browser.open(f"http://{connect.addr}/")
        protocol, extensions = browser.run(OPEN % ("/ws", '["one", "two"]'))
        assert protocol == "two"
        assert "permessage-deflate" in extensions
        browser.run('ws.send("hello"), ws.send("ä€😀"), ws.send("")')
        browser.run('ws.send("x".repeat(1000000)), ws.send(new Uint8Array(300000))')
        browser.wait("said.length == 5")
        hello, letters, empty, _, size = browser.run(
            "said.map((one) => typeof one == 'string' && one.length > 99 ? one.length : one)"
        )
        assert (hello, letters, empty, size) == ("hello", "ä€😀", "", 300000)
        assert browser.run("said[3] == 'x'.repeat(1000000)")
        browser.run('ws.send("end")')
        browser.wait("over")
        assert browser.run("over") == [3333, "as asked", True]


async def test_the_browser_closes(browser):
    async with serving(app) as connect:
        browser.open(f"http://{connect.addr}/")
        browser.run(OPEN % ("/ws", "[]"))
        browser.run('ws.close(4001, "enough")')
        browser.wait("over")
        assert browser.run("over") == [4001, "enough", True]


async def test_many_at_once(browser):
    async with serving(app) as connect:
        browser.open(f"http://{connect.addr}/")
        browser.run("""
            window.count = 0;
            for (let n = 0; n < 50; n++) {
                const one = new WebSocket("ws://" + location.host + "/" + n);
                one.onopen = () => one.send("number " + n);
                one.onmessage = (m) => { count += m.data == "number " + n; one.close(); };
            }
        """)
        browser.wait("count == 50")


async def test_a_refusal(browser):
    async with serving(app) as connect:
        browser.open(f"http://{connect.addr}/")
        browser.run(OPEN.replace("%s", "/refused", 1).replace("%s", "[]") + ".catch(() => 0)")
        assert browser.run("over") == [1006, "", False]


async def test_the_server_ends(browser):
    async with serving(app) as connect:
        browser.open(f"http://{connect.addr}/")
        browser.run(OPEN % ("/ws", "[]"))
        gopark.go(connect.server.shutdown)
        browser.wait("over")
        assert browser.run("over") == [1012, "the server ends", True]
