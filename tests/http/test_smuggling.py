"""What could be read in two ways is refused, and the connection closed: nothing behind it counts.

A proxy in front that reads the same bytes otherwise would let one client's bytes become another's
request. Source of the cases: RFC 9112, 11.2, and what the HTTP Garden has found in servers.
"""

from __future__ import annotations

import pytest

from gopark.http import Limits
from httpends import echo, serving

pytestmark = pytest.mark.usefixtures("parser")

POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
AFTER = b"GET /after HTTP/1.1\r\nHost: x\r\n\r\n"

BAD = {
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "two lengths in one": POST + b"Content-Length: 3, 4\r\n\r\nabcd",
    "length with a sign": POST + b"Content-Length: +3\r\n\r\nabc",
    "length with an underscore": POST + b"Content-Length: 1_0\r\n\r\n0123456789",
    "length and chunks": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + END,
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + END,
    "space before the colon": POST + b"Content-Length : 3\r\n\r\nabc",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + END,
    "chunked said twice": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
    + END,
    "unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + END,
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + END,
    "chunks in 1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + END,
    "bare LF": b"GET / HTTP/1.1\nHost: x\n\n",
    "bare LF in a header": b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    "bare LF at the end": b"GET / HTTP/1.1\r\nHost: x\r\n\n",
    "bare CR": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n",
    "folded line": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "space before the first header": b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
    "NUL in a name": b"GET / HTTP/1.1\r\nHost: x\r\nA\0: b\r\n\r\n",
    "NUL in the target": b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "space in a name": b"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\nHost: x\r\n: c\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "chunk size with a sign": CHUNKED + b"+3\r\nabc\r\n" + END,
    "chunk size with 0x": CHUNKED + b"0x3\r\nabc\r\n" + END,
    "chunk without its end": CHUNKED + b"3\r\nabcd\r\n" + END,
    "chunk size and bare LF": CHUNKED + b"3\nabc\r\n" + END,
    "bare LF in a chunk extension": CHUNKED + b"3;a\nxx\r\nabc\r\n" + END,
    "chunk size too large": CHUNKED + b"fffffffffffffffffffff\r\nabc\r\n" + END,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no method": b" / HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n",
}


@pytest.mark.parametrize("case", BAD)
async def test_it_is_refused_and_the_connection_closed(case):
    async with serving(echo) as connect, connect() as client:
        await client.send(BAD[case] + AFTER)
        said = await client.rest()
    assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n"), said
    assert b"\r\nconnection: close\r\n" in said
    assert said.count(b"HTTP/1.1") == 1
    assert b"/after" not in said


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 505),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + END, 501),
        (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: a-miracle\r\n\r\n", 417),
    ],
)
async def test_what_is_plain_and_not_offered_has_a_status_of_its_own(parser, request_, status):
    async with serving(echo) as connect, connect() as client:
        await client.send(request_ + AFTER)
        said = await client.rest()
    wanted = {status, 400} if parser == "h11" else {status}  # which knows of HTTP/1 alone
    assert int(said[9:12]) in wanted
    assert said.count(b"HTTP/1.1 ") == 1


async def test_a_trailer_does_not_pass_for_a_header():
    async def app(scope, receive, send):
        while (await receive())["more_body"]:
            pass
        names = b" ".join(sorted(name for name, _ in scope["headers"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": names})

    async with serving(app) as connect, connect() as client:
        await client.send(CHUNKED + b"3\r\nabc\r\n0\r\nX-Admin: yes\r\n\r\n")
        assert (await client.answer()).body == b"host transfer-encoding"


@pytest.mark.parametrize("split", [False, True])
async def test_a_head_that_is_too_large_is_refused(split):
    async with serving(echo, limits=Limits(header_size=2000)) as connect, connect() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 1500)
        if not split:
            await client.send(b"\r\n\r\n")
            assert (await client.answer()).status == 200
            await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 3000 + b"\r\n\r\n")
        else:
            await client.send(b"c" * 1500)
        said = await client.rest()
    assert said.startswith(b"HTTP/1.1 431 ")
    assert b"at most 2,000 bytes" in said


async def test_too_many_headers_are_refused():
    async with serving(echo, limits=Limits(header_count=10)) as connect, connect() as client:
        lines = "".join(f"A{n}: b\r\n" for n in range(10))
        await client.send(f"GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        assert (await client.rest()).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "request_",
    [POST + b"Content-Length: 11\r\n\r\n", CHUNKED + b"6\r\nabcdef\r\n6\r\nabcdef\r\n"],
)
async def test_a_body_that_is_too_large_is_refused(request_):
    async with serving(echo, limits=Limits(body_size=10)) as connect, connect() as client:
        await client.send(request_)
        assert (await client.rest()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("value", [b"a\r\nX: y", b"a\nX: y", b"a\0"])
async def test_an_application_cannot_be_made_to_split_its_answer(value):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", value)]})
        await send({"type": "http.response.body", "body": b""})

    async with serving(app) as connect, connect() as client:
        answer = await client.get()
    assert answer.status == 500
    assert "x" not in answer.headers
