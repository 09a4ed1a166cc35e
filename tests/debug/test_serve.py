"""The server of the live page: whom it answers, what it refuses, and what it leaves alone."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

import pytest

import gopark
from gopark._debug._plain import age
from harness import TIMEOUT


def test_the_page_is_served_on_loopback_and_closed(client):
    assert client.url.startswith("http://127.0.0.1:")
    got = client.get("/debug/gopark/")
    assert got.status == 200
    assert got.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<title>" in got.text
    assert client.get("/").headers["Location"] == "/debug/gopark/"


def test_after_close_nobody_answers_and_no_thread_is_left():
    server = gopark.debug.serve()
    host, port = server.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as idle:
        server.close()
        server.close()
        with contextlib.suppress(ConnectionResetError):  # or it was not even accepted
            assert idle.recv(1) == b""  # a connection that said nothing was cut
    assert not [t for t in threading.enumerate() if t.name.startswith("gopark-page")]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, int(port)), timeout=TIMEOUT)


@pytest.mark.parametrize("addr", ["0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:80", "example.org:80"])
def test_an_address_that_others_can_reach_has_to_be_asked_for(addr):
    with pytest.raises(ValueError, match="public=True"):
        gopark.debug.serve(addr)


@pytest.mark.parametrize(
    "addr", ["127.0.0.1", "6060", "127.0.0.1:http", "127.0.0.1:99999", "::1:0"]
)
def test_what_is_no_address_is_refused(addr):
    with pytest.raises(ValueError, match=r"^serve: "):
        gopark.debug.serve(addr)


def test_public_serves_every_address():
    with gopark.debug.serve("0.0.0.0:0", public=True) as server:
        port = int(server.url.rsplit(":", 1)[1].split("/")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as sock:
            sock.sendall(b"HEAD / HTTP/1.0\r\nHost: 10.0.0.1\r\n\r\n")
            assert b" 302 " in sock.recv(100)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_get_and_head_are_answered(client, method):
    got = client.get("/debug/gopark/", method=method)
    assert got.status == 405
    assert got.headers["Allow"] == "GET, HEAD"


def test_head_is_get_without_a_body(client):
    got = client.get("/debug/pprof/cmdline", method="HEAD")
    assert got.status == 200
    assert int(got.headers["Content-Length"]) > 0
    assert got.body == b""


@pytest.mark.parametrize("path", ["/debug/gopark/", "state.json", "/debug/pprof/goroutine", "/"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_name_that_is_not_ours_is_not_answered(client, host, path):
    """DNS rebinding: a site points its own name at this machine."""
    got = client.get(path, headers={"Host": host})
    assert got.status == 421
    assert "serve(hosts=...)" in got.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:80", "[::1]"])
def test_names_of_this_machine_are_answered(client, host):
    assert client.get("/debug/gopark/", headers={"Host": host}).status == 200


def test_further_names_can_be_allowed(client_of):
    with gopark.debug.serve(hosts=["Box.example"]) as server:
        client = client_of(server.url)
        assert client.get("/", headers={"Host": "box.example:80"}).status == 302
        assert client.get("/", headers={"Host": "fox.example"}).status == 421


def test_another_site_cannot_have_the_browser_ask(client):
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert client.get("/debug/pprof/goroutine", headers=foreign).status == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/debug/gopark/", headers=link).status == 200


@pytest.mark.parametrize("path", ["/debug/gopark/", "state.json", "page.js", "/debug/pprof/", "/"])
def test_every_answer_keeps_other_sites_and_foreign_code_out(client, path):
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not any(name.lower().startswith("access-control-") for name in headers)


@pytest.mark.parametrize(
    "path", ["/no", "/debug/gopark/no", "page.py", "../debug.py", "/debug/gopark"]
)
def test_what_is_not_there_is_not_found(client, path):
    assert client.get(path).status in (404, 301)


def test_a_request_line_that_is_none_is_refused(client):
    host, port = client.netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        assert sock.recv(1000)  # an answer, and no exception in the server's thread


def test_names_of_the_program_are_text_in_the_page(client, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/tmp/<script>alert(1)</script>"])
    assert "<script>alert" not in client.get("/debug/gopark/", q='"><b>x').text
    assert "<b>x" not in client.get("/debug/gopark/", q='"><b>x').text
    assert 'value="{{ROWS}}{{ABOUT}}"' in client.get("/debug/gopark/", q="{{ROWS}}{{ABOUT}}").text


def test_without_a_script_the_page_is_a_table_that_can_be_searched(run, client):
    async def waiter(ch):
        await ch.recv()

    async def main():
        ch = gopark.Chan()
        for _ in range(3):
            gopark.go(waiter, ch)
        await gopark.testing.wait_all_parked()
        text = client.get("/debug/gopark/").text
        assert "waiter</b>" in text
        assert "chan receive" in text
        assert "4 goroutines in 2 groups" in text
        assert "3 goroutines in 1 groups" in client.get("/debug/gopark/", q="WAITER").text
        assert "0 goroutines in 0 groups" in client.get("/debug/gopark/", q="nobody").text
        ch.close()

    run(main, outside_help=True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "&lt;1s"), (1, "1s"), (59.9, "59s"), (60, "1m"), (61, "1m 1s"), (3660, "1h 1m"),
     (90000, "1d 1h")],
)  # fmt: skip
def test_ages_have_one_or_two_units(seconds, text):
    assert age(seconds) == text


# --- beside the program -------------------------------------------------------------------------


def test_the_page_is_no_goroutine_and_starts_no_program(client):
    assert client.get("state.json").json["counts"]["goroutines"] == 0
    assert gopark.runtime.num_goroutine() == 0


def test_the_page_answers_while_every_p_is_stuck(child):
    """Main computes without end on the only P, until somebody has seen that on the page."""
    done = child(
        """
import json, threading, urllib.request
import gopark

server = gopark.debug.serve()
stuck, go_on = threading.Event(), threading.Event()
out = []

def look():
    stuck.wait()
    with urllib.request.urlopen(server.url + "groups.json", timeout=300) as answer:
        out.append(json.load(answer))
    go_on.set()

async def main():
    stuck.set()
    while not go_on.is_set():
        pass

threading.Thread(target=look).start()
gopark.run(main)
print(out[0]["states"])
""",
        GOMAXPROCS="1",
    )
    assert (done.stdout, done.stderr, done.returncode) == ("{'running': 1}\n", "", 0)


def test_a_page_does_not_keep_a_dead_program_from_being_reported(child):
    """Somebody looks at it and holds the connection open; the program is dead all the same."""
    done = child(
        """
import socket
import gopark

server = gopark.debug.serve()
host, port = server.url.split("/")[2].split(":")
sock = socket.create_connection((host, int(port)))
sock.sendall(b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
sock.recv(1000)

async def main():
    await gopark.Chan().recv()

gopark.run(main)
"""
    )
    assert "fatal error: all goroutines are asleep - deadlock!" in done.stderr
    assert done.returncode == 2


def test_a_program_that_forgets_to_close_ends_without_a_word(child):
    done = child("import gopark\nserver = gopark.debug.serve()\ngopark.run(gopark.gosched)\n")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork_the_parent_alone_serves(child):
    done = child(
        """
import os, urllib.request, warnings
import gopark

warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads
server = gopark.debug.serve()
pid = os.fork()
if pid == 0:
    server.close()
    with gopark.debug.serve() as own:
        urllib.request.urlopen(own.url).close()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
with urllib.request.urlopen(server.url) as answer:
    print(answer.status)
"""
    )
    assert (done.stdout, done.stderr, done.returncode) == ("200\n", "", 0)


def test_an_address_that_cannot_be_had_is_named():
    with gopark.debug.serve() as server:
        addr = server.url.split("/")[2]
        with pytest.raises(OSError, match=f"serve: cannot listen on '{addr}': .*in use"):
            gopark.debug.serve(addr)
