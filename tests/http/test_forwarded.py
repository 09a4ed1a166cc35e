"""What a proxy says of its client counts from those that were named, and from no others."""

from __future__ import annotations

import pytest

from gopark.http._forwarded import Proxies
from httpends import answering, serving


def told(proxies, *hops, proto=None, client=("10.0.0.1", 1)):
    scope = {"client": client, "scheme": "http", "headers": []}
    scope["headers"] += [(b"x-forwarded-for", hop) for hop in hops]
    if proto:
        scope["headers"].append((b"x-forwarded-proto", proto))
    if Proxies(proxies).trusts(client):
        Proxies(proxies).apply(scope)
    host = scope["client"] and scope["client"][0]
    return host, scope["scheme"]


@pytest.mark.parametrize(
    ("proxies", "hops", "client"),
    [
        ([], [b"1.2.3.4"], "10.0.0.1"),
        (["10.0.0.2"], [b"1.2.3.4"], "10.0.0.1"),
        (["10.0.0.1"], [b"1.2.3.4"], "1.2.3.4"),
        (["10.0.0.0/8"], [b"6.6.6.6, 1.2.3.4, 10.0.0.9"], "1.2.3.4"),
        (["10.0.0.0/8"], [b"6.6.6.6", b"1.2.3.4:5555"], "1.2.3.4"),
        (["10.0.0.0/8"], [b"10.0.0.7, 10.0.0.8"], "10.0.0.7"),
        (["10.0.0.0/8"], [b"[2001:db8::1]:80"], "2001:db8::1"),
        (["10.0.0.0/8"], [b"1.2.3.4, unknown"], "10.0.0.1"),
        (["*"], [b"6.6.6.6, 1.2.3.4"], "6.6.6.6"),
    ],
)
def test_which_client_it_is(proxies, hops, client):
    assert told(proxies, *hops) == (client, "http")


def test_the_scheme():
    assert told(["10.0.0.1"], proto=b"https") == ("10.0.0.1", "https")
    assert told(["10.0.0.1"], proto=b"gopher") == ("10.0.0.1", "http")
    assert told([], proto=b"https") == ("10.0.0.1", "http")
    assert told(["unix"], b"1.2.3.4", client=None) == ("1.2.3.4", "http")


def test_a_proxy_that_is_none():
    for wrong in ["example.com", "10.0.0.1/8", ""]:
        with pytest.raises(ValueError, match="a proxy is an address"):
            Proxies([wrong])


async def test_in_a_server():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["client"][0], scope["scheme"]))
        await answering()(scope, receive, send)

    for proxies in ["127.0.0.1"], []:
        async with serving(app, proxies=proxies) as connect, connect() as client:
            await client.get("/", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https")
    assert seen == [("1.2.3.4", "https"), ("127.0.0.1", "http")]
