"""What the tests of the live page share."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest

import gopark
from harness import TIMEOUT


class Got(NamedTuple):
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks a server, over a connection for each request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.netloc = urlsplit(url).netloc

    def get(self, path: str, method: str = "GET", headers: Any = None, **query: Any) -> Got:
        if not path.startswith("/"):
            path = "/debug/gopark/" + path
        if query:
            path += "?" + urlencode(query)
        connection = http.client.HTTPConnection(self.netloc, timeout=TIMEOUT)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return Got(answer.status, dict(answer.headers), answer.read())
        finally:
            connection.close()


@pytest.fixture
def client_of() -> type[Client]:
    return Client


@pytest.fixture
def client() -> Iterator[Client]:
    """A server of its own, and who asks it; both are gone after the test."""
    with gopark.debug.serve() as server:
        yield Client(server.url)


@pytest.fixture
def ask(client: Client) -> Callable[..., Any]:
    """`await ask(path, **query)` from a goroutine: the request is made on a thread of its own."""

    async def ask(path: str, **kw: Any) -> Got:
        answers: gopark.Chan[Any] = gopark.Chan()

        def request() -> None:
            gopark.block(answers.send(client.get(path, **kw)))

        gopark.go(request)
        answer = await answers.recv()
        assert answer is not None
        return answer

    return ask
