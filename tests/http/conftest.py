"""Each test that has `parser` runs once with either of them."""

from __future__ import annotations

import pytest

from gopark.http import _parser

PARSERS = [
    pytest.param(name, marks=pytest.mark.skipif(there is None, reason=f"{name} is not installed"))
    for name, there in (("httptools", _parser.httptools), ("h11", _parser.h11))
]


@pytest.fixture(params=PARSERS)
def parser(request, monkeypatch):
    """What requests are read with."""
    monkeypatch.setattr(_parser, "backend", lambda: request.param)
    return request.param
