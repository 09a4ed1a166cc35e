"""The server of the live page: the standard library's, in threads of its own.

Threads. One accepts connections and takes the counts once a second, for the curve; each connection
has one more. They are Python's own and never run a goroutine, so they answer while every P is
stuck, and `num_goroutine` does not know of them. They wake nobody, so they are `watchers` of the
runtime (startm.py): a program in which all else is asleep is dead, page or no page. They are
daemons, for a program's end does not wait for who looks at it.

What is not answered:
  - anything but GET and HEAD: nothing here changes the program (a profile or a trace that is
    asked for runs for as long as was asked, and is given to who asked)
  - a request to a host name that is not ours: a web site may point its own name at this machine
    (DNS rebinding), and the browser would take the page for a part of that site
  - a request that another site has made the browser send (`Sec-Fetch-Site`)
There are no CORS headers, and the policy of the page lets it load nothing but its own files.

Looks at all goroutines are shared: who asks within _FRESH, or within five times what the last look
took, gets the same one. So a page that is open costs at most a fifth of one CPU.

Locks: `Page.lock` guards the last look, `Page.graphlock` the last graph, `Page._openlock` the
connections. None is held while anything is written.
Source: none; Go has net/http. Tests: tests/debug/test_serve.py
"""

from __future__ import annotations

import atexit
import contextlib
import ipaddress
import json
import os
import selectors
import socket
import socketserver
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from gopark._debug import _api, _graph, _look, _paths, _plain
from gopark._debug._answer import Answer, Refused
from gopark._runtime.lockrank import lasting
from gopark._runtime.startm import ourthreads, watchers

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
_FRESH: Final = 0.9  # seconds: a look is not taken again
_STALE: Final = 30.0  # and is dropped if nobody has asked for so long
_TICK: Final = 1.0  # seconds between two points of the curve
_POINTS: Final = 600  # of the curve
_IDLE: Final = 60.0  # seconds that a connection may say nothing
_CONNECTIONS: Final = 64


class Page(ThreadingHTTPServer):
    """A listening socket and what its threads share."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, hosts: frozenset[str]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.hosts = hosts | {"localhost"}
        self.history: deque[dict[str, Any]] = deque(maxlen=_POINTS)
        self.ticks = 0  # points taken, those that the curve has forgotten included
        self.closing = threading.Event()
        self.lock = lasting(threading.Lock())
        self.graphlock = lasting(threading.Lock())
        self._graph: dict[str, Any] | None = None
        self._drawn = 0.0
        self._looked: _look.Look | None = None
        self._asked = 0.0
        self._openlock = lasting(threading.Lock())
        self._open: dict[socket.socket, threading.Thread] = {}
        self._due = 0.0
        super().__init__((host, port), _Handler)
        bound = str(self.server_address[0])
        shown = f"[{bound}]" if ":" in bound else bound
        self.url = f"http://{shown}:{self.server_address[1]}{HOME}"
        self._thread = threading.Thread(target=self._serve, name="gopark-page", daemon=True)
        self._woken, self._waker = socket.socketpair()
        self.tick()
        self._thread.start()
        _pages.add(self)

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks the resolver for the name of the machine.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def _serve(self) -> None:
        """Accept, and take the counts when it is time. Not serve_forever, which ends by polling."""
        with _watcher(), selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self.closing.is_set():
                ready = selector.select(max(0.0, self._due - time.monotonic()))
                if any(key.fileobj is self.socket for key, _ in ready):
                    self._handle_request_noblock()  # type: ignore[attr-defined]
                if time.monotonic() >= self._due:
                    self.tick()

    def tick(self) -> None:
        """A point of the curve; and what nobody has asked for in a while is forgotten."""
        now = time.monotonic()
        self._due = max(self._due + _TICK, now + _TICK / 2)
        self.history.append(_look.counts())
        self.ticks += 1
        with self.lock:
            if self._looked is not None and now - self._asked > _STALE:
                self._looked = None

    def look(self) -> _look.Look:
        """All goroutines, in groups; as they are now or were just now."""
        with self.lock:
            self._asked = now = time.monotonic()
            last = self._looked
            if last is None or now - last.now > max(_FRESH, 5 * last.took):
                last = self._looked = _look.look()
            return last

    def graph(self) -> dict[str, Any]:
        """Who waits for whom; shared like a look."""
        with self.graphlock:
            now = time.monotonic()
            if self._graph is None or now - self._drawn > max(_FRESH, 5 * self._graph["took"]):
                self._graph = _graph.graph()
                self._drawn = time.monotonic()
            return self._graph

    # --- connections ---------------------------------------------------------------------

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self._open) >= _CONNECTIONS:
            self.shutdown_request(request)
            return
        thread = threading.Thread(
            target=self._connection,
            args=(request, client_address),
            name="gopark-page-connection",
            daemon=True,
        )
        with self._openlock:
            self._open[request] = thread
        thread.start()

    def _connection(self, request: socket.socket, client_address: Any) -> None:
        with _watcher():
            try:
                self.finish_request(request, client_address)
            except (OSError, ValueError):
                pass  # the browser has gone away, or the server has been closed
            finally:
                with self._openlock:
                    self._open.pop(request, None)
                self.shutdown_request(request)

    def close(self) -> None:
        """Stop, and wait for the threads."""
        if self.closing.is_set():
            return
        self.closing.set()
        _pages.discard(self)
        self._waker.close()
        self._thread.join(10)
        self.server_close()
        self._woken.close()
        with self._openlock:
            open_ = dict(self._open)
        for request, thread in open_.items():
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)
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
    wbufsize = -1

    def do_GET(self) -> None:
        try:
            self._refuse()
            url = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(url.query).items()}
            answer = self._answer(url.path, query)
        except Refused as exc:
            answer = Answer(exc.text + "\n", status=exc.status)
        except Exception as exc:  # of ours: who looks is told, the program goes on
            answer = Answer(f"{type(exc).__name__}: {exc}\n", status=500)
        self._send(answer)

    do_HEAD = do_GET

    def _refuse(self) -> None:
        """Raise Refused unless this is a request that a user of this page has made."""
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # a body: it is not read
        host = self.headers.get("Host", "")
        if not _ours(host, self.server.hosts):
            raise Refused(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this page is not served under the name {host!r}; use an address of the machine, "
                "localhost, or a name given to serve(hosts=...)",
            )
        site = self.headers.get("Sec-Fetch-Site", "none")
        mode = self.headers.get("Sec-Fetch-Mode", "navigate")
        if site not in ("none", "same-origin") and mode != "navigate":
            raise Refused(HTTPStatus.FORBIDDEN, "another site has no business with this page")

    def _answer(self, path: str, query: dict[str, str]) -> Answer:
        page = self.server
        if path == "/":
            return Answer("", status=302, headers={"Location": HOME})
        if path == HOME:
            return Answer(_plain.home(page.look(), query), "text/html; charset=utf-8")
        if path.startswith(HOME):
            name = path.removeprefix(HOME)
            if name in _STATIC:
                return Answer(_static(name), _STATIC[name])
            if name in _api.ANSWERS:
                found = _api.ANSWERS[name](page, query)
                text = json.dumps(found, separators=(",", ":"), allow_nan=False)
                return Answer(text, "application/json; charset=utf-8")
        return _paths.answer(path, query, page.closing)

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


def _ours(host: str, names: frozenset[str]) -> bool:
    """A Host header that a web site cannot have made up: an address, or a name of this machine."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]").lower().rstrip(".")
    if name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _static(name: str) -> bytes:
    return resources.files("gopark._debug").joinpath("static", name).read_bytes()
