"""The request's context: `context.current()` in a handler ends with the client, and in time."""

from __future__ import annotations

import contextvars

import pytest

import gopark
from gopark import context, net
from gopark.http import Timeouts
from httpends import answering, serving

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def waits(how):
    """An application that waits for the end of its context, and where it says what that was."""
    ends = gopark.Chan(4)

    async def app(scope, receive, send):
        ctx = context.current()
        await how(ctx)
        await ends.send((ctx.err(), context.cause(ctx)))

    return app, ends


async def ask(ctx):
    await ctx.done().recv_ok()


async def ask_a_child(ctx):
    with context.with_cancel(ctx) as child:
        await child.done().recv_ok()


async def ask_a_goroutine(ctx):
    heard = gopark.Chan(1)
    context.after_func(ctx, heard.send, None)
    await heard.recv()


async def look_again_and_again(ctx):
    while ctx.err() is None:
        await gopark.time.sleep(0.001)


async def wait_in_its_scope(ctx):
    with pytest.raises(context.Canceled), context.scope(ctx):
        await gopark.Chan().recv()


HOWS = [ask, ask_a_child, ask_a_goroutine, look_again_and_again, wait_in_its_scope]


@pytest.mark.parametrize("how", HOWS)
async def test_it_ends_when_the_client_leaves(how):
    app, ends = waits(how)
    async with serving(app) as connect, connect() as client:
        await client.send(GET)
        client.conn.close()
        err, _ = await ends.recv()
        assert isinstance(err, context.Canceled)


async def test_an_application_that_ends_by_it_has_not_failed(caplog):
    began = gopark.Chan()

    async def app(scope, receive, send):
        await began.send(None)
        with context.scope(context.current()):
            await gopark.Chan().recv()

    async with serving(app) as connect:
        async with connect() as client:
            await client.send(GET)
            await began.recv()
    assert "failed" not in caplog.text


async def test_it_ends_when_the_client_leaves_amid_its_body():
    async def read_and_wait(ctx, receive):
        assert (await receive())["body"] == b"abc"
        assert (await receive())["type"] == "http.disconnect"
        await ctx.done().recv_ok()

    ended = gopark.Chan(1)

    async def app(scope, receive, send):
        ctx = context.current()
        assert ctx.err() is None
        await read_and_wait(ctx, receive)
        await ended.send(ctx.err())

    async with serving(app) as connect, connect() as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        client.conn.close()
        assert isinstance(await ended.recv(), context.Canceled)


async def test_it_is_watched_once_the_body_is_there():
    ended, read = gopark.Chan(1), gopark.Chan(1)

    async def app(scope, receive, send):
        ctx = context.current()
        assert ctx.err() is None
        while (await receive())["more_body"]:
            pass
        await read.send(None)
        await ctx.done().recv_ok()
        await ended.send(ctx.err())

    async with serving(app) as connect, connect() as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
        await gopark.testing.wait_all_parked()
        await client.send(b"def")
        await read.recv()
        client.conn.close()
        assert isinstance(await ended.recv(), context.Canceled)


async def test_its_deadline_is_the_time_for_the_answer():
    seen = gopark.Chan(2)

    async def app(scope, receive, send):
        ctx = context.current()
        left = ctx.deadline() - gopark.time.monotonic()
        gopark.go(tell, ctx, left)
        await gopark.Chan().recv()

    async def tell(ctx, left):
        await ctx.done().recv_ok()
        await seen.send((left, ctx.err()))

    async with serving(app, timeouts=Timeouts(response=0.05)) as connect, connect() as client:
        answer = await client.get()
        assert answer.status == 503
        left, err = await seen.recv()
        assert 0 < left <= 0.05
        assert isinstance(err, context.DeadlineExceeded)


async def test_it_is_over_when_the_application_has_returned():
    contexts = []

    async def app(scope, receive, send):
        contexts.append(context.current())
        await answering()(scope, receive, send)

    async with serving(app) as connect, connect() as client:
        await client.get()
        await client.get()
        one, two = contexts
        assert one is not two
        assert isinstance(one.err(), context.Canceled)
    assert one.deadline() is None


async def test_what_the_client_sends_in_the_meantime_is_its_next_request():
    async def app(scope, receive, send):
        ctx = context.current()
        if scope["path"] == "/1":
            assert ctx.err() is None
            await go_on.recv()
            assert ctx.err() is None
        await answering(scope["path"].encode())(scope, receive, send)

    go_on = gopark.Chan()
    async with serving(app) as connect, connect() as client:
        await client.send(GET.replace(b"/ ", b"/1 ", 1))
        await gopark.testing.wait_all_parked()
        await client.send(GET.replace(b"/ ", b"/2 ", 1), GET.replace(b"/ ", b"/3 ", 1))
        await gopark.testing.wait_all_parked()
        await go_on.send(None)
        assert [(await client.answer()).body for _ in range(3)] == [b"/1", b"/2", b"/3"]


async def test_two_ways_to_wait_for_the_end_of_the_client_both_hear_of_it():
    ends = gopark.Chan(4)

    async def other(ctx):
        await ctx.done().recv_ok()
        await ends.send("context")

    async def app(scope, receive, send):
        await receive()
        gopark.go(other, context.current())
        assert (await receive())["type"] == "http.disconnect"
        await ends.send("receive")

    async with serving(app) as connect, connect() as client:
        await client.send(GET)
        await gopark.testing.wait_all_parked()
        client.conn.close()
        assert {await ends.recv(), await ends.recv()} == {"context", "receive"}


async def test_it_is_a_child_of_the_context_that_the_server_was_started_in():
    key = object()
    found = gopark.Chan(1)

    async def app(scope, receive, send):
        ctx = context.current()
        await found.send(ctx.value(key))
        await ctx.done().recv_ok()
        await found.send(ctx.err())

    with context.with_cancel(context.with_value(context.background(), key, 3)) as base:
        with context.use(base):
            manager = serving(app)
            connect = await manager.__aenter__()
        async with connect() as client:
            await client.send(GET)
            assert await found.recv() == 3
            base.cancel()
            assert isinstance(await found.recv(), context.Canceled)
        await manager.__aexit__(None, None, None)


async def test_it_leaves_no_variable_behind():
    before = gopark.Chan(2)
    mine = contextvars.ContextVar("mine", default=0)

    async def app(scope, receive, send):
        await before.send(mine.get())
        mine.set(1)
        await answering()(scope, receive, send)

    async with serving(app) as connect, connect() as client:
        await client.get()
        await client.get()
        assert [await before.recv(), await before.recv()] == [0, 0]


def test_a_wsgi_application_has_one_too():
    ended = []

    def app(environ, start_response):
        ctx = context.current()
        ended.append(gopark.block(ctx.done().recv_ok()) and ctx.err())
        start_response("200 OK", [])
        return [b""]

    async def main():
        async with serving(app) as connect:
            conn = await net.dial("tcp", connect.addr)
            await conn.write(GET)
            conn.close()
            while not ended:
                await gopark.time.sleep(0.001)

    gopark.run(main)
    assert isinstance(ended[0], context.Canceled)
