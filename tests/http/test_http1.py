"""HTTP/1.1 as a client sees it: framing, keep-alive, pipelining, what is asked before a body."""

from __future__ import annotations

import pytest

from gopark.http import Limits
from httpends import answering, echo, serving

pytestmark = pytest.mark.usefixtures("parser")


async def test_an_answer_has_length_date_and_server():
    async with serving(answering(headers=[(b"X-Mine", b"1")])) as connect, connect() as client:
        answer = await client.get()
    assert (answer.status, answer.reason, answer.body) == (200, "OK", b"hello")
    assert answer.headers["content-length"] == "5"
    assert answer.headers["server"] == "gopark"
    assert answer.headers["date"].endswith(" GMT")
    assert answer.headers["x-mine"] == "1"
    assert "connection" not in answer.headers


async def test_a_connection_serves_many_requests_in_order():
    async with serving(echo) as connect, connect() as client:
        for number in range(5):
            assert (await client.get(f"/{number}")).body == f"GET /{number} ".encode()


async def test_requests_that_are_sent_at_once_are_answered_in_their_order():
    async with serving(echo) as connect, connect() as client:
        one = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        two = (
            b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
        )
        await client.send(one, two, one)
        assert [(await client.answer()).body for _ in range(3)] == [
            b"POST /a abc",
            b"POST /b de",
            b"POST /a abc",
        ]


async def test_a_request_may_come_a_byte_at_a_time():
    async with serving(echo) as connect, connect() as client:
        data = b"POST /a%20b?c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        for at in range(len(data)):
            await client.send(data[at : at + 1])
        assert (await client.answer()).body == b"POST /a b abc"


@pytest.mark.parametrize(
    ("version", "header", "kept"),
    [
        ("1.1", "X: y", True),
        ("1.1", "Connection: close", False),
        ("1.0", "X: y", False),
        ("1.0", "Connection: keep-alive", True),
    ],
)
async def test_who_may_send_another_request(version, header, kept):
    async with serving(answering()) as connect, connect() as client:
        answer = await client.get("/", header, version=version)
        wanted = {("1.1", True): None, ("1.0", True): "keep-alive"}.get((version, kept), "close")
        assert answer.headers.get("connection") == wanted
        if kept:
            assert (await client.get("/", header, version=version)).status == 200
        else:
            assert await client.rest() == b""


async def test_a_head_has_the_headers_and_no_body():
    async with serving(answering()) as connect, connect() as client:
        answer = await client.get(method="HEAD")
        assert (answer.headers["content-length"], answer.body) == ("5", b"")
        assert (await client.get()).body == b"hello"


@pytest.mark.parametrize("status", [204, 304])
async def test_some_answers_have_no_body_whatever_the_application_sends(status):
    async with serving(answering(status=status)) as connect, connect() as client:
        answer = await client.get()
        assert answer.status == status
        assert "transfer-encoding" not in answer.headers
        assert (await client.get()).status == status


async def test_a_body_in_pieces_is_sent_in_chunks():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in b"one", b"", b"two":
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async with serving(app) as connect:
        async with connect() as client:
            answer = await client.get()
            assert (answer.headers["transfer-encoding"], answer.body) == ("chunked", b"onetwo")
            assert (await client.get()).body == b"onetwo"
        async with connect() as client:  # that knows no chunks
            answer = await client.get(version="1.0")
            assert (answer.headers["connection"], answer.body) == ("close", b"onetwo")


async def test_a_client_that_waits_to_send_its_body_is_told_when_it_is_wanted():
    async with serving(echo) as connect, connect() as client:
        await client.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        assert (await client.answer()).status == 100
        await client.send(b"abc")
        assert (await client.answer()).body == b"POST / abc"


async def test_a_body_that_nobody_wanted_is_not_asked_for():
    async with serving(answering()) as connect, connect() as client:
        await client.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"hello")
        assert await client.rest() == b""


async def test_a_body_that_was_not_read_does_not_pass_for_a_request():
    async with serving(answering()) as connect, connect() as client:
        body = b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        await client.send(head)
        assert (await client.answer()).status == 200
        await client.send(body)
        await client.send(b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await client.rest()).count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize("body", [b"", b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_an_upgrade_that_is_not_offered_is_passed_over_with_its_body_intact(body):
    async with serving(echo) as connect, connect() as client:
        head = (
            "POST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            f"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        await client.send(head.encode(), body)
        assert (await client.answer()).body == b"POST /a " + body
        assert (await client.get("/b")).body == b"GET /b "


async def test_a_connection_ends_after_as_many_requests_as_it_may_have():
    async with serving(answering(), limits=Limits(requests=2)) as connect, connect() as client:
        assert "connection" not in (await client.get()).headers
        assert (await client.get()).headers["connection"] == "close"
        assert await client.rest() == b""


async def test_a_large_answer_arrives_whole():
    body = bytes(range(256)) * 8192
    async with serving(answering(body)) as connect, connect() as client:
        assert (await client.get()).body == body


async def test_the_target_may_be_a_url():
    async with serving(echo) as connect, connect() as client:
        assert (await client.get("http://test/a?b")).body == b"GET /a "
        assert (await client.get("*", method="OPTIONS")).body == b"OPTIONS * "
