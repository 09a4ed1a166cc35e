"""Who may have the live page do what: tools, browsers, and other sites through a browser."""

from __future__ import annotations

import re
import socket

import pytest

import gopark

AGENT = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:70.0) Gecko/20100101 Firefox/70.0"}
PAGES = ["/", "/debug/gopark/", "/debug/pprof/"]
LOOKS = ["state.json", "groups.json", "graph.json", "page.js", "/debug/pprof/cmdline"]
COSTLY = [
    "/debug/pprof/profile?seconds=0.05",
    "/debug/pprof/trace?seconds=0.05",
    "/debug/pprof/goroutineleak?debug=1",
    "/debug/pprof/goroutine?debug=2",
]


def statuses(client, paths, headers):
    return {client.get(path, headers=headers).status for path in paths}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"User-Agent": "curl/8.5.0", "Accept": "*/*"},
        {"User-Agent": "Go-http-client/1.1"},
        {"User-Agent": "Prometheus/2.53.0", "Accept": "text/plain"},
    ],
)
def test_a_tool_gets_everything(client, headers):
    assert statuses(client, PAGES + LOOKS + COSTLY, headers) == {200, 302}
    assert client.get("/metrics", headers=headers).status != 403


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_the_page_itself_and_the_address_bar_get_everything(client, site):
    headers = AGENT | {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    assert statuses(client, PAGES + LOOKS + COSTLY, headers) == {200, 302}


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
@pytest.mark.parametrize("mode", ["navigate", "no-cors", "cors", "websocket"])
def test_another_site_gets_no_more_than_a_link_to_a_page(client, site, mode):
    headers = AGENT | {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
    assert statuses(client, LOOKS + COSTLY + ["/metrics"], headers) == {403}
    allowed = {200, 302} if mode == "navigate" else {403}
    assert statuses(client, PAGES, headers) == allowed


@pytest.mark.parametrize("dest", ["iframe", "object", "embed", "frame"])
def test_another_site_cannot_put_a_page_into_a_frame_of_its_own(client, dest):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": dest}
    assert statuses(client, PAGES, AGENT | headers) == {403}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Referer": "http://evil.example/page"},
        {"Referer": "http://[evil"},
    ],
)
@pytest.mark.parametrize("agent", [AGENT, {}])
def test_a_browser_that_is_old_says_in_other_words_where_it_comes_from(client, headers, agent):
    assert statuses(client, LOOKS + COSTLY + ["/metrics"], agent | headers) == {403}


def test_an_old_browser_that_comes_from_the_page_gets_everything(client):
    for name in ("Origin", "Referer"):
        headers = AGENT | {name: f"http://{client.netloc}/debug/gopark/"}
        assert statuses(client, LOOKS + COSTLY, headers) == {200}


@pytest.mark.parametrize("says", [AGENT, {"Accept-Language": "de"}])
def test_a_browser_that_says_nothing_needs_the_token_for_what_costs(client, says):
    """No `Sec-Fetch` headers: an old one, or one on another machine, over plain http."""
    assert statuses(client, PAGES + LOOKS, says) == {200, 302}
    refused = [client.get(path, headers=says) for path in [*COSTLY, "/metrics"]]
    assert {got.status for got in refused} == {403}
    assert "go tool pprof" in refused[0].text
    for page in ("/debug/gopark/", "/debug/pprof/"):
        text = client.get(page, headers=says).text.replace("&amp;", "&")
        links = [href for href in re.findall('href="([^"]+)"', text) if "token=" in href]
        trace = next(href for href in links if "trace" in href)
        trace = trace.replace("seconds=2&", "") + "&seconds=0.05"
        assert client.get("/debug/pprof/" + trace.rpartition("/")[2], headers=says).status == 200
        leak = next(href for href in links if "goroutineleak" in href)
        assert client.get("/debug/pprof/" + leak.rpartition("/")[2], headers=says).status == 200


def test_the_token_is_of_one_server_and_shown_to_nobody_who_needs_none(client):
    with gopark.debug.serve() as other:
        text = type(client)(other.url).get("/debug/gopark/", headers=AGENT).text
    token = re.search('token=([^"&]+)', text)[1]  # type: ignore[index]
    got = client.get("/debug/pprof/trace", headers=AGENT, token=token, seconds="0.05")
    assert got.status == 403
    for headers in ({}, AGENT | {"Sec-Fetch-Site": "same-origin"}):
        assert "token=" not in client.get("/debug/gopark/", headers=headers).text
        assert "token=" not in client.get("/debug/pprof/", headers=headers).text


# --- what is no parameter ------------------------------------------------------------------------

LONG = "9" * 6000
NUMBERS = [
    ("state.json", "since"),
    ("groups.json", "offset"),
    ("groups.json", "limit"),
    ("goroutine.json", "id"),
    ("/debug/gopark/", "offset"),
    ("/debug/pprof/goroutine", "debug"),
    ("/debug/pprof/profile", "seconds"),
    ("/debug/pprof/trace", "seconds"),
]


@pytest.mark.parametrize("value", [LONG, "-1", "nan", "-inf", "", " ", "0x10", "1_0", "1e999"])
@pytest.mark.parametrize(("path", "name"), NUMBERS)
def test_a_number_that_is_none_is_refused_and_starts_nothing(client, path, name, value):
    got = client.get(path, **{name: value})
    assert got.status == 400
    assert name in got.text
    assert len(got.text) < 200  # what was sent is not sent back


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("groups.json", f"q={LONG}"),
        ("/debug/gopark/", f"q={LONG}"),
        ("groups.json", "sort=up"),
        ("groups.json", "limit=1&limit=2"),
        ("/debug/pprof/profile", "seconds=0.1&seconds=3600"),
        ("/debug/pprof/trace", "seconds=inf"),
        ("/debug/pprof/trace", "seconds=0"),
        ("groups.json", "&".join(f"x{i}=1" for i in range(100))),
    ],
)
def test_what_is_no_parameter_is_refused(client, path, query):
    assert client.get(f"{path}?{query}").status == 400


@pytest.mark.parametrize("kind", ["profile", "trace"])
@pytest.mark.parametrize("seconds", ["1e308", "1e999", "3600.5", "0", "-1", "inf", "a"])
def test_a_time_that_cannot_be_is_told_with_its_bounds(client, kind, seconds):
    got = client.get(f"/debug/pprof/{kind}?seconds={seconds}")
    assert got.status == 400
    bounds = "a number above 0 and at most 3,600"
    assert got.text.strip() == f"seconds must be {bounds}, not '{seconds}'"


@pytest.mark.parametrize("q", ["9" * 30, "٣", "-1", "%00", ""])
def test_words_to_look_for_may_be_anything(client, q):
    assert client.get("groups.json", q=q).status == 200


def test_an_address_that_is_none_is_refused(client):
    host, port = client.netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=120) as sock:
        sock.sendall(b"GET http://[/debug/gopark/ HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert b" 400 " in sock.recv(100)
