"""The server of the live page: the standard library's, in threads of its own.

Threads. One accepts connections and takes the counts once a second, for the curve; each connection
has one more. They are Python's own and never run a goroutine, so they answer while every P is
stuck, and `num_goroutine` does not know of them. They wake nobody, so they are `watchers` of the
runtime (startm.py): a program in which all else is asleep is dead, page or no page. They are
daemons, for a program's end does not wait for who looks at it.

Anything but GET and HEAD is refused: nothing here changes the program (a profile or a trace that is
asked for runs for as long as was asked, or as who asked stays, and is given to him). Who may ask
for what is in _guard.py. There are no CORS headers, and the policy of the page lets it load nothing
but its own files.

Nobody holds the door. There is room for _CONNECTIONS at once, and each has a deadline for
what it does (`_Connection`): to say what it wants, to take the answer. Where all are taken, the one
goes that has had nothing to say for longest. When a connection cannot be accepted, for want of
descriptors, the next try is 5 ms later, then twice that, up to a second (Go: net/http, Serve); when
no thread can be started, who came is told.

Locks: `Page._openlock` guards the connections, and shutting one down from outside. It is not held
while anything is written.
Source: none; Go has net/http. Tests: tests/debug/test_serve.py, test_limits.py
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import select
import selectors
import socket
import socketserver
import threading
import time
import weakref
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from gopark._debug import _api, _paths, _plain
from gopark._debug._answer import Answer, Gone, Refused, parameters
from gopark._debug._guard import Guard
from gopark._debug._shared import Shared
from gopark._runtime.base.lockrank import lasting
from gopark._runtime.sched.newosproc import nothread
from gopark._runtime.sched.startm import ourthreads, watchers

__all__ = ("Page",)

HOME: Final = "/debug/gopark/"
_STATIC: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_TICK: Final = 1.0  # seconds between two points of the curve
_HEAD: Final = 10.0  # seconds that a new connection has to say what it wants
_IDLE: Final = 60.0  # and one that has been answered; and each has to take an answer
_CONNECTIONS: Final = 64
_LOOK: Final = 0.2  # seconds between two looks whether somebody has gone, where nobody tells
_LONG: Final = 1000.0  # seconds in one call of poll
_BACKOFF: Final = (0.005, 1.0)  # seconds: the first time, and at most
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: "


class _Connection:
    """Who has it, and until when it may do what it does now: inf while it is being answered."""

    __slots__ = ("deadline", "since", "thread")

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread
        self.until(_HEAD)

    def until(self, seconds: float) -> None:
        self.since = time.monotonic()
        self.deadline = self.since + seconds


class Page(ThreadingHTTPServer):
    """A listening socket and what its threads share."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, hosts: frozenset[str]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.guard = Guard(hosts | {"localhost"})
        self.shared = Shared()
        self.closing = threading.Event()
        self._openlock = lasting(threading.RLock())  # a finaliser may close the page
        self._open: dict[socket.socket, _Connection] = {}
        self._closedhere = False  # by the thread that accepts
        self._due = 0.0
        self._pause = 0.0  # seconds to the next try to accept; 0: the last one went well
        super().__init__((host, port), _Handler)
        bound = str(self.server_address[0])
        shown = f"[{bound}]" if ":" in bound else bound
        self.url = f"http://{shown}:{self.server_address[1]}{HOME}"
        with contextlib.ExitStack() as undo:
            undo.callback(self.server_close)
            self._woken, self._waker = socket.socketpair()
            undo.callback(self._waker.close)
            undo.callback(self._woken.close)
            selector = undo.enter_context(selectors.DefaultSelector())
            self._thread = threading.Thread(
                target=self._serve, args=(selector,), name="gopark-page", daemon=True
            )
            self.tick()
            try:
                self._thread.start()
            except RuntimeError as exc:
                raise RuntimeError(f"serve: no thread for the page: {nothread(exc)}") from None
            undo.pop_all()
        _pages.add(self)

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks the resolver for the name of the machine.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def _serve(self, selector: selectors.BaseSelector) -> None:
        """Accept, and take the counts when it is time. Not serve_forever, which ends by polling."""
        with _watcher(), selector:
            self.socket.setblocking(False)  # who has gone again is not waited for
            selector.register(self._woken, selectors.EVENT_READ)
            accepting, again = False, 0.0
            while not self.closing.is_set():
                if not accepting and time.monotonic() >= again:
                    selector.register(self.socket, selectors.EVENT_READ)
                    accepting = True
                due = self._due if accepting else min(self._due, again)
                ready = selector.select(max(0.0, due - time.monotonic()))
                if any(key.fileobj is self.socket for key, _ in ready) and not self._accept():
                    selector.unregister(self.socket)
                    accepting, again = False, time.monotonic() + self._pause
                if time.monotonic() >= self._due:
                    self.tick()
        if self._closedhere:
            self._closerest()

    def tick(self) -> None:
        """What is done once a second."""
        now = time.monotonic()
        self._due = max(self._due + _TICK, now + _TICK / 2)
        self.shared.tick()
        with self._openlock:
            for request, connection in list(self._open.items()):
                if now > connection.deadline:
                    self._cut(request)

    # --- connections ---------------------------------------------------------------------

    def _accept(self) -> bool:
        """Take one connection; False: that cannot be done now, and would fail again at once."""
        try:
            request, address = self.get_request()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return True  # who came has gone again
        except OSError:  # no descriptor is free, as a rule
            first, most = _BACKOFF
            self._pause = min(max(first, self._pause * 2), most)
            return False
        self._pause = 0.0
        request.setblocking(True)
        self.process_request(request, address)
        return True

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self._connection,
            args=(request, client_address),
            name="gopark-page-connection",
            daemon=True,
        )
        with self._openlock:
            full = len(self._open) >= _CONNECTIONS and not self._makeroom()
            if not full:
                self._open[request] = _Connection(thread)
        if full:
            self._turnaway(request, f"{_CONNECTIONS} requests are being answered; try again later")
            return
        try:
            thread.start()
        except (RuntimeError, MemoryError) as exc:
            with self._openlock:
                self._open.pop(request, None)
            self._turnaway(request, f"no thread to answer: {nothread(exc)}")

    def _makeroom(self) -> bool:
        """Cut the connection that has had nothing to say for longest. Caller holds the lock."""
        waiting = [(c.since, r) for r, c in self._open.items() if c.deadline < math.inf]
        if not waiting:
            return False
        self._cut(min(waiting, key=lambda item: item[0])[1])
        return True

    def _cut(self, request: socket.socket) -> None:
        """End a connection, whose thread then closes it. Caller holds the lock: it is open."""
        self._open.pop(request, None)
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def _turnaway(self, request: socket.socket, why: str) -> None:
        text = f"{why}\n".encode()
        with contextlib.suppress(OSError):
            request.setblocking(False)
            request.send(_BUSY + b"%d\r\n\r\n" % len(text) + text)
        self.shutdown_request(request)

    def _connection(self, request: socket.socket, client_address: Any) -> None:
        with _watcher():
            try:
                self.finish_request(request, client_address)
            except (OSError, ValueError, MemoryError, Gone):
                pass  # the browser has gone away, or the server has been closed
            finally:
                with self._openlock:
                    self._open.pop(request, None)
                self.shutdown_request(request)

    def until(self, request: socket.socket, seconds: float) -> None:
        """What this connection does now may take so long."""
        with self._openlock:
            connection = self._open.get(request)
            if connection is not None:
                connection.until(seconds)

    def close(self) -> None:
        """Stop, and wait for the threads; not for one that calls this, out of a finaliser."""
        if self.closing.is_set():
            return
        self.closing.set()
        _pages.discard(self)
        self._waker.close()
        if self._thread is threading.current_thread():
            self._closedhere = True  # it closes the rest when it comes to it
            return
        self._thread.join(10)
        self._closerest()

    def _closerest(self) -> None:
        self.server_close()
        self._woken.close()
        me = threading.current_thread()
        with self._openlock:
            threads = [c.thread for c in self._open.values() if c.thread is not me]
            for request in list(self._open):
                self._cut(request)
        for thread in threads:
            thread.join(10)

    def forked(self) -> None:
        """In a child: the parent serves; what was copied along is closed here alone."""
        self.closing = threading.Event()  # whoever was in the old one is not here
        self.closing.set()
        for own in (self.socket, self._woken, self._waker):
            own.close()
        for request in list(self._open):
            request.close()


@contextlib.contextmanager
def _watcher() -> Iterator[None]:
    """The calling thread serves requests; the runtime is not to count on it for a wake-up."""
    me = threading.get_ident()
    ourthreads.add(me)
    watchers.add(me)
    try:
        yield
    finally:
        watchers.discard(me)
        ourthreads.discard(me)


_pages: Final[weakref.WeakSet[Page]] = weakref.WeakSet()


def _closeall() -> None:
    for page in list(_pages):
        page.close()


def _forked() -> None:
    watchers.clear()
    for page in list(_pages):
        page.forked()
    _pages.clear()


atexit.register(_closeall)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


# --- requests ------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    """One connection: request after request."""

    protocol_version = "HTTP/1.1"
    server_version = "gopark"
    sys_version = ""
    timeout = _IDLE
    server: Page
    connection: socket.socket
    wbufsize = -1
    requests = 0

    def handle_one_request(self) -> None:
        self.server.until(self.connection, _IDLE if self.requests else _HEAD)
        self.requests += 1
        super().handle_one_request()

    def do_GET(self) -> None:
        self.server.until(self.connection, math.inf)
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # a body: it is not read
        try:
            path, query = self._asked()
            token = self.server.guard.check(path, query, self.headers)
            answer = self._answer(path, query, token)
        except Refused as exc:
            answer = Answer(exc.text + "\n", status=exc.status)
        except Gone:
            self.close_connection = True
            return
        except Exception as exc:  # of ours: who looks is told, the program goes on
            answer = Answer(f"{type(exc).__name__}: {exc}\n", status=500)
        self.server.until(self.connection, _IDLE)
        self._send(answer)

    do_HEAD = do_GET

    def _asked(self) -> tuple[str, dict[str, str]]:
        try:
            url = urlsplit(self.path)
        except ValueError as exc:
            raise Refused(400, f"this is no address: {exc}") from None
        return unquote(url.path, errors="replace"), parameters(url.query)

    def _answer(self, path: str, query: dict[str, str], token: str) -> Answer:
        shared = self.server.shared
        if path == "/":
            return Answer("", status=302, headers={"Location": HOME})
        if path == HOME:
            return Answer(_plain.home(shared.look(), query, token), "text/html; charset=utf-8")
        if path.startswith(HOME):
            name = path.removeprefix(HOME)
            if name in _STATIC:
                return Answer(_static(name), _STATIC[name])
            if name in _api.ANSWERS:
                found = _api.ANSWERS[name](shared, query)
                text = json.dumps(found, separators=(",", ":"), allow_nan=False)
                return Answer(text, "application/json; charset=utf-8")
        return _paths.answer(path, query, self._wait, token)

    def _wait(self, seconds: float) -> None:
        """Let the time pass; raise Gone once the other side has hung up, or the server closes.

        Closing shuts the connection down, which looks the same from here.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if _hungup(self.connection, left):
                raise Gone

    def _send(self, answer: Answer) -> None:
        body = answer.body.encode(errors="replace") if isinstance(answer.body, str) else answer.body
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library refuses: another method, a line that is no request."""
        self.close_connection = True
        if code == HTTPStatus.NOT_IMPLEMENTED:
            text = f"{self.command} is not served: requests change nothing here, use GET"
            self._send(Answer(text + "\n", status=405, headers={"Allow": "GET, HEAD"}))
        else:
            self.request_version = getattr(self, "request_version", "HTTP/1.0")
            self._send(Answer(f"{message or HTTPStatus(code).phrase}\n", status=code))

    def log_message(self, *args: object) -> None:
        """The program's own output stays its own."""


def _hungup(sock: socket.socket, timeout: float) -> bool:
    """Wait until the other side has hung up or time is up. What it sends meanwhile can wait.

    Go: net/http, backgroundRead. A client that shuts down its half counts as gone there, too.
    """
    if not hasattr(select, "POLLRDHUP"):  # another system than Linux, which tells it by an end
        time.sleep(min(timeout, _LOOK))
        ready = select.select([sock], [], [], 0)[0] if sock.fileno() >= 0 else [sock]
        return bool(ready) and _ended(sock)
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)  # and POLLHUP, POLLERR
    return bool(poll.poll(math.ceil(min(timeout, _LONG) * 1000)))


def _ended(sock: socket.socket) -> bool:
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _static(name: str) -> bytes:
    return resources.files("gopark._debug").joinpath("static", name).read_bytes()
