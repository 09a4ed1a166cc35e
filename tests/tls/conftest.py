"""What the tests of gopark.tls share: certificates, and connections of two ends."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from gopark import net, tls
from tlsends import Certificates, Pair, ends, made


@pytest.fixture(scope="session")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is not installed")
    folder = tmp_path_factory.mktemp("certificates")
    return Certificates(
        *made(folder, "localhost", ",IP:127.0.0.1"), *made(folder, "other.example", "")
    )


def _pairs(certs: Certificates, kind: str) -> Iterator[Pair]:
    made: list[Any] = []

    def make(
        server: ssl.SSLContext | None = None, client: ssl.SSLContext | None = None, **kwargs: Any
    ) -> tuple[tls.Conn, tls.Conn]:
        a, b = net.pipe() if kind == "pipe" else ends(kind == "plain")
        made.extend((a, b))
        kwargs.setdefault("server_hostname", "localhost")
        return (
            tls.client(a, client or certs.client(), **kwargs),
            tls.server(b, server or certs.server()),
        )

    yield make
    for conn in made:  # where the program has ended before close_notify was sent
        conn.close()


@pytest.fixture(params=["socket", "plain"])
def pair(request: pytest.FixtureRequest, certs: Certificates) -> Iterator[Pair]:
    """`client, server = pair()`, before their handshake, over a socket and over another Conn."""
    yield from _pairs(certs, request.param)


@pytest.fixture(params=["socket", "plain", "pipe"])
def anypair(request: pytest.FixtureRequest, certs: Certificates) -> Iterator[Pair]:
    """The same, and over a pipe, where nothing lies between a write and the read of it."""
    yield from _pairs(certs, request.param)
