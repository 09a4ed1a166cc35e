"""The live page at its limits: who hangs up, who says nothing, no descriptors, no threads."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

import gopark
from gopark._debug import _http
from gopark._runtime.prof import cpuprof
from gopark._runtime.prof.trace import tracing


def connect(client):
    host, port = client.netloc.split(":")
    return socket.create_connection((host, int(port)), timeout=120)


def request(path):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@pytest.mark.parametrize("how", ["close", "shutdown", "reset"])
@pytest.mark.parametrize(
    ("path", "running"),
    [
        ("/debug/pprof/profile?seconds=3600", lambda: cpuprof._profiler is not None),
        ("/debug/pprof/trace?seconds=3600", lambda: tracing.on),
    ],
    ids=["profile", "trace"],
)
def test_what_was_asked_for_ends_when_who_asked_hangs_up(client, wait_until, path, running, how):
    sock = connect(client)
    sock.sendall(request(path) + request("/")[:5])  # and something that is not read
    assert wait_until(running)
    if how == "shutdown":
        sock.shutdown(socket.SHUT_WR)
    elif how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    if how != "shutdown":
        sock.close()
    assert wait_until(lambda: not running())
    sock.close()


def test_where_the_system_does_not_tell_of_a_hang_up_it_is_looked_for(
    client, wait_until, monkeypatch
):
    monkeypatch.delattr("select.POLLRDHUP", raising=False)
    sock = connect(client)
    sock.sendall(request("/debug/pprof/trace?seconds=3600"))
    assert wait_until(lambda: tracing.on)
    sock.close()
    assert wait_until(lambda: not tracing.on)
    assert client.get("/debug/pprof/trace?seconds=0.3").status == 200


# --- connections that say nothing -----------------------------------------------------------------


def test_those_who_say_nothing_lock_nobody_out(client):
    """One more than there is room for, each with half a request."""
    with contextlib.ExitStack() as stack:
        for _ in range(_http._CONNECTIONS + 10):
            sock = stack.enter_context(connect(client))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        for _ in range(3):
            assert client.get("/debug/pprof/cmdline").status == 200


def test_who_is_being_answered_keeps_the_place(client, wait_until):
    with connect(client) as sock, contextlib.ExitStack() as stack:
        sock.settimeout(120)
        sock.sendall(request("/debug/pprof/trace?seconds=2"))
        assert wait_until(lambda: tracing.on)
        for _ in range(_http._CONNECTIONS + 10):
            stack.enter_context(connect(client))
        assert client.get("/debug/pprof/cmdline").status == 200
        assert b" 200 OK" in sock.recv(100)


def test_who_does_not_say_in_time_what_it_wants_is_cut(client, monkeypatch):
    monkeypatch.setattr(_http, "_HEAD", 0.2)
    with connect(client) as silent, connect(client) as slow:
        until = time.monotonic() + 30
        slow.sendall(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(OSError):  # each line has come in time, the head has not
            while time.monotonic() < until:
                slow.sendall(b"X-More: 1\r\n")
                time.sleep(0.05)
        assert time.monotonic() < until
        assert silent.recv(1) == b""


def test_when_all_places_are_taken_who_comes_is_told(client, monkeypatch, wait_until):
    monkeypatch.setattr(_http, "_CONNECTIONS", 1)
    with connect(client) as sock:
        sock.sendall(request("/debug/pprof/trace?seconds=3600"))
        assert wait_until(lambda: tracing.on)
        with connect(client) as other:
            other.sendall(request("/debug/pprof/cmdline"))
            answer = other.recv(1000)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert answer.endswith(b"1 requests are being answered; try again later\n")
    assert wait_until(lambda: not tracing.on)


# --- a machine that has no more -------------------------------------------------------------------


def test_without_threads_who_comes_is_told_and_the_page_lives(client, monkeypatch, wait_until):
    start = threading.Thread.start

    def fails(thread):
        if thread.name == "gopark-page-connection":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fails)
        for _ in range(3):
            got = client.get("/debug/pprof/cmdline")
            assert got.status == 503
            assert "can't start new thread" in got.text
            assert "ulimit -u" in got.text
    page = next(iter(_http._pages))
    assert wait_until(lambda: not page._open)
    assert client.get("/debug/pprof/cmdline").status == 200


def test_without_a_thread_there_is_no_page_and_no_open_socket(monkeypatch):
    def fails(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fails)
    pages = len(_http._pages)
    with pytest.raises(RuntimeError, match="no thread for the page: can't start new thread"):
        gopark.debug.serve()  # a socket left open would be a ResourceWarning
    assert len(_http._pages) == pages


def test_without_descriptors_the_page_waits_and_uses_no_cpu(child):
    """EMFILE on accept: the connection stays in the queue, so a select returns at once."""
    done = child(
        """
import itertools, os, resource, socket, threading, time
import gopark

server = gopark.debug.serve()
page, tries, enough = server._page, [], threading.Event()
accept = page.get_request

def get_request():
    try:
        return accept()
    except OSError:
        tries.append((time.monotonic(), time.process_time()))
        if len(tries) == 8:
            enough.set()
        raise

page.get_request = get_request
host, port = server.url.split("/")[2].split(":")
ask = b"GET /debug/pprof/cmdline HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n"
sock = socket.socket()
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
sock.connect((host, int(port)))
sock.sendall(ask)
assert enough.wait(300)
for fd in taken:
    os.close(fd)
sock.settimeout(300)
print(sock.recv(100).split(b"\\r\\n")[0].decode())
tries = tries[:8]
for n, ((t1, cpu1), (t2, cpu2)) in enumerate(itertools.pairwise(tries)):
    print(n, t2 - t1 >= 0.005 * 2**n or t2 - t1)
used, took = (b - a for a, b in zip(tries[0][::-1], tries[-1][::-1]))
print(used < took / 2 or (used, took))
"""
    )
    rests = [f"{n} True" for n in range(7)]  # each twice as long as the last, and no CPU meanwhile
    assert done.stdout.splitlines() == ["HTTP/1.1 200 OK", *rests, "True"]
    assert done.stderr == ""


def test_without_descriptors_no_page_begins_and_the_error_says_so(child):
    done = child(
        """
import os, resource
import gopark, gopark._debug._http

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for free in range(5):  # each thing it needs is missing once
    for fd in taken[-free:] if free else ():
        os.close(fd)
    try:
        gopark.debug.serve().close()
        print("served with", free)
    except OSError as exc:
        print(exc.strerror)
    del taken[len(taken) - free:]
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
"""
    )
    lines = done.stdout.splitlines()
    assert [line.rpartition(": ")[2] for line in lines[:4]] == ["Too many open files"] * 4
    assert lines[4:] == ["served with 4"]
    assert done.stderr == ""


@pytest.mark.parametrize("thread", ["gopark-page", "gopark-page-connection"])
def test_a_finaliser_may_close_the_page_on_a_thread_of_the_page(
    client_of, monkeypatch, wait_until, thread
):
    server, said = gopark.debug.serve(), []
    plain = _http._Connection.until

    def until(self, seconds):  # called with the lock of the page held
        if threading.current_thread().name == thread and not said:
            said.append("closing")
            server.close()
            said.append("closed")
        plain(self, seconds)

    monkeypatch.setattr(_http._Connection, "until", until)
    sock = connect(client_of(server.url))
    sock.sendall(request("/"))
    assert wait_until(lambda: said == ["closing", "closed"])
    assert wait_until(lambda: not server._page._thread.is_alive())
    assert server._page.socket.fileno() < 0
    assert server._page._woken.fileno() < 0
    sock.close()
