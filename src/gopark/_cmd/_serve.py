"""`gopark serve`: an ASGI or WSGI application on a port.

SIGTERM and Ctrl-C end it in good order (status 0), a second one at once. The options are named as
uvicorn names its own, where it has them.

Tests: tests/cmd/test_serve.py
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any, Final

import gopark
import gopark.http
from gopark._cmd import _workers
from gopark._cmd._failed import Failed

__all__ = ("ABOUT", "arguments", "serve")

ABOUT: Final = """\
examples:
  gopark serve main:app                       http://127.0.0.1:8000, Ctrl-C ends it
  gopark serve main:app --host 0.0.0.0 --port 80 --access-log
  gopark serve mysite.wsgi                    `app` or `application` of that module
  gopark serve main:make_app --factory
  gopark serve main:app --uds /run/app.sock

An ASGI application that has imported asyncio, or what is built on it, runs on an event loop, each
request a task; any other, and each WSGI application, in a goroutine for each connection. --loop
overrules that: `bare` for one whose handlers wait for nothing of asyncio's, and may block.

exit status:
  0  it was ended by SIGTERM or Ctrl-C
  1  the application was not found or cannot start, or the address is not free
"""
_log: Final = logging.getLogger("gopark.http")


def arguments(parser: argparse.ArgumentParser, kinds: dict[str, Callable[[str], Any]]) -> None:
    """What may stand on the command line; `kinds` reads a number of seconds, or a count."""
    seconds, count = kinds["seconds"], kinds["count"]
    add = parser.add_argument
    add("app", metavar="MODULE:APP", help="the application")
    where = parser.add_argument_group("where")
    where.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    where.add_argument("--port", type=_port, default=8000, help="port; 0: any that is free (8000)")
    where.add_argument("--uds", metavar="PATH", help="a Unix socket, in place of host and port")
    where.add_argument("--fd", type=int, metavar="N", help="a socket that was inherited")
    where.add_argument("--ssl-certfile", metavar="FILE", help="certificate, for HTTPS")
    where.add_argument("--ssl-keyfile", metavar="FILE", help="its key, if in another file")
    where.add_argument("--no-http2", action="store_true", help="HTTP/1.1 alone")
    what = parser.add_argument_group("the application")
    what.add_argument("--factory", action="store_true", help="APP makes the application")
    what.add_argument("--app-dir", default="", metavar="DIR", help="where its module is (here)")
    what.add_argument("--interface", default="auto", choices=("auto", "asgi", "wsgi"))
    what.add_argument("--loop", default="auto", choices=("auto", "bare", "asyncio"))
    what.add_argument(
        "--loops",
        type=lambda text: text if text == "auto" else count(text),
        default=1,
        metavar="N",
        help="event loops, for --loop asyncio; auto: others than the first while it is blocked (1)",
    )
    what.add_argument("--lifespan", default="auto", choices=("auto", "on", "off"))
    what.add_argument("--root-path", default="", metavar="PATH", help="where it is mounted")
    what.add_argument(
        "--forwarded-allow-ips",
        default="",
        metavar="LIST",
        help="proxies whose X-Forwarded headers are believed, with commas: 10.0.0.0/8,unix (none)",
    )
    many = parser.add_argument_group("processes")
    many.add_argument("--workers", type=count, metavar="N", help="so many of them (one)")
    many.add_argument("--reload", action="store_true", help="anew when a source changes")
    many.add_argument("--worker", type=int, default=None, help=argparse.SUPPRESS)
    limits = parser.add_argument_group("limits and times")
    limits.add_argument(
        "--limit-header-size", type=count, metavar="BYTES", help="of a head (64 KB)"
    )
    limits.add_argument("--limit-body-size", type=count, metavar="BYTES", help="of a body (none)")
    limits.add_argument("--limit-connections", type=count, metavar="N", help="at once (10,000)")
    limits.add_argument("--limit-requests", type=count, metavar="N", help="a connection (none)")
    limits.add_argument(
        "--limit-streams", type=count, metavar="N", help="at once on one of HTTP/2 (100)"
    )
    for name, text in (
        ("header", "for a head (10)"),
        ("body", "for each 512 bytes of a body (20)"),
        ("response", "for the application (none)"),
        ("write", "for a client to take 256 KB (30)"),
        ("keep-alive", "for the next request (75)"),
        ("graceful-shutdown", "for requests under way at the end (30)"),
    ):
        limits.add_argument(f"--timeout-{name}", type=seconds, metavar="SECONDS", help=text)
    limits.add_argument(
        "--limit-max-requests",
        type=count,
        metavar="N",
        help="end after so many in all; with --workers another process takes the place (none)",
    )
    logs = parser.add_argument_group("logs, and a look inside")
    logs.add_argument(
        "--debug",
        metavar="HOST:PORT",
        help="the live page, /debug/pprof/ and /metrics there, for this machine alone (none)",
    )
    logs.add_argument(
        "--debug-mount", action="store_true", help="the same under the application's own address"
    )
    logs.add_argument("--debug-public", action="store_true", help="for other machines too")
    logs.add_argument("--access-log", action="store_true", help="a line for each answer, on stdout")
    logs.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return int(text)


def serve(options: argparse.Namespace) -> int:
    """The command."""
    _logging(options)
    if options.fd is None and (inherited := _inherited()):
        options.fd = inherited
        options.args += ["--fd", str(inherited)]
    if options.worker is not None:
        _workers.worker()
    elif options.reload or options.workers is not None:
        if options.debug is not None and not options.debug.endswith(":0"):
            raise Failed(
                "--debug with --workers or --reload: each process needs a port: say HOST:0"
            )
        try:
            held = None if options.fd is not None else _bound(options)
        except (OSError, ValueError) as exc:
            raise Failed(f"cannot listen on {_where(options)}: {_why(exc)}") from None
        return _workers.supervise(options, held)
    sys.path.insert(0, options.app_dir or os.getcwd())
    try:
        app = gopark.http.load(options.app, options.factory)
        server = _server(app, options)
    except (gopark.http.LoadError, TypeError, ValueError, ImportError) as exc:
        if isinstance(exc, gopark.http.LoadError) or _ours(exc):
            raise Failed(str(exc)) from None
        raise
    tls = _tls(options)
    if tls is not None:
        tls.set_alpn_protocols(["h2", "http/1.1"] if server.http2 else ["http/1.1"])
    _run(server, options, tls)
    return 0


def _run(
    server: gopark.http.Server, options: argparse.Namespace, tls: ssl.SSLContext | None
) -> None:
    """Serve. A signal that comes once all is done finds nothing that it could end."""
    over: list[None] = []

    def late(signum: int, frame: object) -> None:
        if over:
            return
        if signum == signal.SIGINT:  # the server has not asked for it yet
            raise KeyboardInterrupt
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    # What there is again after `gopark.run`, and raises nothing then.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, late)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, late)
    try:
        gopark.run(_main, server, options, tls, over)
    except gopark.http.LifespanError as exc:
        raise Failed(str(exc)) from None
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, signal.SIG_IGN)  # which Python leaves in place as it ends


def _ours(exc: BaseException) -> bool:
    """It says what is wrong with what was given, and not with what the application does."""
    tb = exc.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    return tb is not None and tb.tb_frame.f_globals.get("__name__", "").startswith("gopark.http")


def _server(app: Any, options: argparse.Namespace) -> gopark.http.Server:
    given = vars(options)

    def chosen(prefix: str, names: dict[str, str]) -> dict[str, Any]:
        found = {field: given[prefix + name] for field, name in names.items()}
        return {field: value for field, value in found.items() if value is not None}

    sizes = ("header_size", "body_size", "connections", "requests", "streams", "max_requests")
    times = {name: name for name in ("header", "body", "response", "write")}
    times |= {"idle": "keep_alive", "shutdown": "graceful_shutdown"}
    return gopark.http.Server(
        app,
        interface=options.interface,
        loop=options.loop,
        loops=options.loops,
        lifespan=options.lifespan,
        limits=gopark.http.Limits(**chosen("limit_", {name: name for name in sizes})),
        timeouts=gopark.http.Timeouts(**chosen("timeout_", times)),
        root_path=options.root_path,
        proxies=[one.strip() for one in options.forwarded_allow_ips.split(",") if one.strip()],
        access_log=options.access_log,
        debug=_mounted(options),
        http2=not options.no_http2,
    )


def _mounted(options: argparse.Namespace) -> str:
    if not options.debug_mount:
        return "off"
    return "public" if options.debug_public else "local"


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    if options.ssl_certfile is None:
        if options.ssl_keyfile is not None:
            raise Failed("--ssl-keyfile needs --ssl-certfile")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.ssl_certfile, options.ssl_keyfile)
    except (OSError, ssl.SSLError) as exc:
        raise Failed(f"cannot load {options.ssl_certfile}: {exc}") from None
    return context


def _why(exc: OSError | ValueError) -> str:
    """Without the address, which stands before it."""
    if isinstance(exc, OSError) and exc.errno is not None and exc.errno > 0:
        return os.strerror(exc.errno)
    return str(exc)


async def _main(
    server: gopark.http.Server,
    options: argparse.Namespace,
    tls: ssl.SSLContext | None,
    over: list[None],
) -> None:
    if options.debug is not None:
        _log.info("live page: %s", _debug(options).url)
    try:
        ln = _listen(options)
    except (OSError, ValueError) as exc:
        raise Failed(f"cannot listen on {_where(options)}: {_why(exc)}") from None
    signals = gopark.Chan[signal.Signals](2)
    gopark.signal.notify(signals, signal.SIGINT, signal.SIGTERM)
    gopark.go(_until, signals, server)
    if tls is not None:
        server.scheme = "https"
    _log.info("%s (%s, %s), process %d", _url(ln, tls), server.interface, server.loop, os.getpid())
    await server.serve(ln if tls is None else gopark.tls.Listener(ln, tls))
    _log.info("ended")
    over.append(None)


async def _until(signals: gopark.Chan[signal.Signals], server: gopark.http.Server) -> None:
    sig = await signals.recv()
    assert sig is not None
    _log.info("%s: no more connections, %d are open", sig.name, len(server.conns))
    gopark.go(server.shutdown)
    await signals.recv()
    server.close()


def _inherited() -> int:
    """The first socket that systemd has handed over; 0: none. Go: none; sd_listen_fds(3)."""
    pid, count = os.environ.get("LISTEN_PID", ""), os.environ.get("LISTEN_FDS", "")
    if pid != str(os.getpid()) or not count.isdecimal() or count == "0":
        return 0
    if count != "1":
        raise Failed(f"systemd has handed over {count} sockets: name one of them (--fd 3)")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)  # they are not for those that are started from here
    return 3


def _debug(options: argparse.Namespace) -> gopark.debug.Server:
    try:
        return gopark.debug.serve(options.debug, public=options.debug_public)
    except (OSError, ValueError) as exc:
        raise Failed(f"cannot serve the live page on {options.debug}: {exc}") from None


def _where(options: argparse.Namespace) -> str:
    if options.fd is not None:
        return f"descriptor {options.fd}"
    return options.uds or gopark.net.join_host_port(options.host, options.port)


def _listen(options: argparse.Namespace) -> gopark.net.Listener:
    if options.fd is not None:
        ln = gopark.net.from_socket(socket.socket(fileno=options.fd))
        if not isinstance(ln, gopark.net.Listener):
            raise ValueError("it is no socket that listens")
        return ln
    if options.uds is not None:
        return gopark.net.listen("unix", options.uds)
    address = gopark.net.join_host_port(options.host, options.port)
    return gopark.net.listen("tcp", address, reuse_port=options.worker is not None)


def _bound(options: argparse.Namespace) -> socket.socket:
    """What keeps the place for processes that share it: they listen there themselves, or on this,
    if it is a Unix socket."""
    if options.uds is not None:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(options.uds)
        sock.listen(4096)
        return sock
    ln = gopark.net.listen(
        "tcp", gopark.net.join_host_port(options.host, options.port), reuse_port=True
    )
    with ln:  # what listens gets connections, and this process takes none
        family, name = ln.socket.family, ln.socket.getsockname()
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(name)
    return sock


def _url(ln: gopark.net.Listener, tls: ssl.SSLContext | None) -> str:
    if ln.addr.network == "unix":
        return f"unix:{ln.addr}"
    return f"{'http' if tls is None else 'https'}://{ln.addr}"


def _logging(options: argparse.Namespace) -> None:
    level = getattr(logging, options.log_level.upper())
    logger = logging.getLogger("gopark")
    logger.setLevel(level)
    if not (logger.handlers or logging.getLogger().handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        logger.addHandler(handler)
    if options.access_log:
        access = logging.getLogger("gopark.http.access")
        access.setLevel(logging.INFO)
        access.propagate = False
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        access.addHandler(handler)
