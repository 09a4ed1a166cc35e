"""The live page, profiles and metrics under an application's own port."""

from __future__ import annotations

import pytest

import gopark
from httpends import answering, serving

PATHS = ("/debug/pprof/", "/debug/gopark/", "/metrics")
OWN = answering(b"the application's")


@pytest.mark.parametrize("loop", ["bare", "asyncio"])
async def test_they_are_there_for_a_client_of_this_machine(loop):
    async with serving(OWN, loop=loop, debug="local") as connect, connect() as client:
        assert b"goroutine" in (await seen(client, "/debug/pprof/")).body
        assert (await seen(client, "/debug/gopark/")).status == 200
        assert b"go_goroutines" in (await seen(client, "/metrics")).body
        found = await seen(client, "/debug/pprof/goroutine?debug=1")
        assert found.body.startswith(b"goroutine profile: ")
        for path in ("/", "/debug", "/debug/pprofile", "/metrics/x2", "/debug/other"):
            assert (await client.get(path)).body == b"the application's"


async def seen(client, path):
    """As curl asks: the name of the host is an address of this machine."""
    await client.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return await client.answer()


async def test_of_a_wsgi_application():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    async with serving(app, loop="auto", debug="local") as connect, connect() as client:
        assert b"go_goroutines" in (await seen(client, "/metrics")).body
        assert (await client.get("/")).body == b"ok"


@pytest.mark.parametrize("path", PATHS)
async def test_without_it_they_are_the_application_s(path):
    async with serving(OWN) as connect, connect() as client:
        assert (await seen(client, path)).body == b"the application's"


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For: 203.0.113.7", "Forwarded: for=x", "Via: 1.1 x", "X-Real-IP: 1.2.3.4"],
)
async def test_what_a_proxy_has_passed_on_is_not_of_this_machine(header):
    async with serving(OWN, debug="local") as connect, connect() as client:
        await client.send(f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n\r\n".encode())
        assert (await client.answer()).body == b"the application's"


async def test_behind_a_proxy_that_is_named_the_client_counts():
    async with serving(OWN, debug="local", proxies=["127.0.0.1"]) as connect, connect() as client:
        for address, own in ("203.0.113.7", True), ("127.0.0.1", False):
            await client.send(
                b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n",
                f"X-Forwarded-For: {address}\r\n\r\n".encode(),
            )
            assert ((await client.answer()).body == b"the application's") is own


async def test_for_all_if_told_so():
    async with serving(OWN, debug="public") as connect, connect() as client:
        await client.send(
            b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n"
        )
        assert b"go_goroutines" in (await client.answer()).body


async def test_another_site_is_refused_as_by_the_page_itself():
    async with serving(OWN, debug="local") as connect, connect() as client:
        await client.send(b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert (await client.answer()).status == 421
        await client.send(
            b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: cross-site\r\n\r\n"
        )
        assert (await client.answer()).status == 403
        await client.send(
            b"POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\nabc"
        )
        assert (await client.answer()).status in (405, 501)


def test_no_such_mode():
    with pytest.raises(ValueError, match="debug is one of off, local, public, got 'yes'"):
        gopark.http.Server(OWN, debug="yes")
