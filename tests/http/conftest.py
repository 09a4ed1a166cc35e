"""Each test that has `parser` runs once with either of them."""

from __future__ import annotations

import shutil
import ssl

import pytest

from gopark.http import _parser
from tlsends import made

PARSERS = [
    pytest.param(name, marks=pytest.mark.skipif(there is None, reason=f"{name} is not installed"))
    for name, there in (("httptools", _parser.httptools), ("h11", _parser.h11))
]


@pytest.fixture(params=PARSERS)
def parser(request, monkeypatch):
    """What requests are read with."""
    monkeypatch.setattr(_parser, "backend", lambda: request.param)
    return request.param


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """The context of a server on localhost, whose certificate nobody has signed."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is not installed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*made(tmp_path_factory.mktemp("http"), "localhost", ",IP:127.0.0.1"))
    return context
