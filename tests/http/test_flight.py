"""Requests in flight, as dumps, `gopark top` and the live page show them."""

from __future__ import annotations

import json
import urllib.request

import pytest

import gopark
from gopark import testing
from gopark._cmd import _top
from gopark._runtime.sched.snapshot import snapshot
from httpends import answering, serving

GET = b"GET /items/%d HTTP/1.1\r\nHost: x\r\n\r\n"


class Route:
    path = "/items/{id}"


def waiting(route=None):
    go_on = gopark.Chan()

    async def app(scope, receive, send):
        if route is not None:
            scope["route"] = route  # as Starlette does
        await go_on.recv_ok()
        await answering()(scope, receive, send)

    return app, go_on


@pytest.mark.parametrize(
    ("route", "names"),
    [(None, ["GET /items/0", "GET /items/1"]), (Route(), ["GET /items/{id}"])],
)
async def test_dumps_and_top_show_them_by_method_and_route(route, names):
    app, go_on = waiting(route)
    async with serving(app) as connect, connect() as one, connect() as two:
        await one.send(GET % 0)
        await two.send(GET % 1)
        await testing.wait_all_parked()
        dump = gopark.runtime.stack(True)
        lines = [line for line in dump.splitlines() if ": request " in line]
        assert sorted(line.partition(": request ")[2] for line in lines) == names
        page = "\n".join(_top.page(snapshot(), None, 200))
        count = 2 // len(names)
        assert all(f"{count} {name}" in page for name in names)
        go_on.close()
        assert (await one.answer()).status == (await two.answer()).status == 200
        await testing.wait_all_parked()
        assert "request GET" not in gopark.runtime.stack(True)
        assert "in flight" not in "\n".join(_top.page(snapshot(), None, 200))


async def test_the_live_page_shows_that_of_a_goroutine():
    app, go_on = waiting()
    with gopark.debug.serve() as page:
        async with serving(app) as connect, connect() as client:
            await client.send(GET % 7)
            await testing.wait_all_parked()
            (name,) = snapshot()["requests"]
            assert name == ("request GET /items/7", 1)
            dump = gopark.runtime.stack(True)
            line = next(line for line in dump.splitlines() if "request GET" in line)
            goid = line.split()[1].rstrip(":")

            def look():
                url = f"{page.url}goroutine.json?id={goid}"
                with urllib.request.urlopen(url) as answer:
                    return json.load(answer)

            found = await gopark.spawn(look)
            assert found["scopes"] == ["request GET /items/7"]
            go_on.close()
            assert (await client.answer()).status == 200


async def test_each_request_of_http_2_is_a_goroutine_of_its_own():
    pytest.importorskip("h2")
    from http2ends import serving2

    app, go_on = waiting()
    async with serving2(app) as connect, connect() as client:
        numbers = [await client.ask(f"/{n}") for n in range(3)]
        await testing.wait_all_parked()
        lines = [line for line in gopark.runtime.stack(True).splitlines() if ": request " in line]
        assert len({line.split()[1] for line in lines}) == 3
        go_on.close()
        for number in numbers:
            assert (await client.answer(number)).status == 200
