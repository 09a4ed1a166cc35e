"""Server: listens, gives each connection a goroutine, and ends in good order.

    startup    the application's lifespan, then connections
    shutdown   1. `closing` is set, the listeners are closed, idle connections too
               2. what is under way is answered, with `Connection: close`
               3. after the time for that the rest is cut, and said
               4. the application's lifespan ends

Source: Go 1.27 net/http/server.go (Serve, Shutdown, Close). Tests: tests/http/test_server.py
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context as Variables
from itertools import count
from typing import Any, Final

from gopark._runtime.base.errors import nocopy
from gopark._runtime.base.printstring import shown
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.sched.newproc import go
from gopark._runtime.time.timechan import after, seconds
from gopark._util import integer, string
from gopark.context import background, current
from gopark.http._exchange import Exchange
from gopark.http._flight import servers
from gopark.http._forwarded import Proxies
from gopark.http._host import Host
from gopark.http._http1 import HTTP1
from gopark.http._http2 import available
from gopark.http._kinds import interfaceof, loopof
from gopark.http._lifespan import MODES, Lifespan
from gopark.http._mount import Mount, checked
from gopark.http._options import Limits, Timeouts
from gopark.http._parser import backend
from gopark.http._reaper import Reaper
from gopark.http._sleepers import Sleepers
from gopark.http._stream import Stream
from gopark.http._websocket import WebSocket
from gopark.net._listener import Accepts

__all__ = ("Server",)

_log: Final = logging.getLogger("gopark.http")
_SHOWN: Final = 10  # requests that are named when they are cut


class Server(Host):
    """Serves an application, ASGI or WSGI, on any number of listeners.

    A connection is a goroutine, so a handler that blocks its thread stalls no other connection.

    Args:
        app: The application.
        interface: `asgi`, `wsgi`, or `auto`: by what it takes.
        loop: Where an ASGI application runs. `bare`: in the connection's goroutine; `asyncio`:
            each request is a task of the program's event loop; `auto`: bare exactly if nothing
            in this process has imported asyncio.
        loops: For `asyncio`: how many event loops there may be. With one, a task that blocks its
            thread holds up the other tasks, as everywhere in asyncio. `auto`: other requests
            begin on a spare loop then, one each. With a number above one, each request has a
            loop that no other is on, as long as they suffice. With more than one, nothing that
            is bound to a loop can be shared between requests.
        lifespan: `on`, `off`, or `auto`: unless the application raises when it hears of it.
        limits: How much a client may have.
        timeouts: How long the server waits.
        root_path: Where the application is mounted, without a slash at the end.
        proxies: Whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed: addresses, networks,
            `unix`, or `*` for all.
        access_log: Each answer is a line of the logger `gopark.http.access`.
        server_header: What `Server` says; "": the header is not sent.
        debug: `local`: the live page, Go's profiles and the metrics are at `/debug/gopark/`,
            `/debug/pprof/` and `/metrics`, before the application, for clients of this machine;
            `public`: for all; `off`.
        http2: Clients may speak HTTP/2, if the library h2 is there: over TLS where the context of
            the listener offers `h2` (`set_alpn_protocols`), else by beginning with it.
    Attributes:
        interface: Which one it is.
        loop: Where it runs.
    Raises:
        TypeError: `app` is no application, or an argument is of the wrong kind.
        ValueError: an argument is none of those that there are.
        ImportError: neither httptools nor h11 is installed.
    Example:
        >>> async def app(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 200})
        ...     await send({"type": "http.response.body", "body": b"hello"})
        >>> async def main():
        ...     server = gopark.http.Server(app, loop="bare", lifespan="off")
        ...     ln = gopark.net.listen("tcp", "127.0.0.1:0")
        ...     gopark.go(server.serve, ln)
        ...     with await gopark.net.dial("tcp", ln.addr) as conn:
        ...         await conn.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
        ...         print((await conn.read()).splitlines()[0])
        ...     await server.shutdown()
        >>> gopark.run(main)
        b'HTTP/1.1 200 OK'

    Go: http.Server.
    """

    def __init__(
        self,
        app: Any,
        *,
        interface: str = "auto",
        loop: str = "auto",
        loops: int | str = 1,
        lifespan: str = "auto",
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        root_path: str = "",
        proxies: Iterable[str] = (),
        access_log: bool = False,
        server_header: str = "gopark",
        debug: str = "off",
        http2: bool = True,
    ) -> None:
        backend()
        self.interface = interfaceof(app, interface)
        self.loop = loopof(self.interface, loop)
        if lifespan not in MODES:
            raise ValueError(f"lifespan is one of {', '.join(MODES)}, got {shown(lifespan)}")
        for what, value, cls in (("limits", limits, Limits), ("timeouts", timeouts, Timeouts)):
            if value is not None and not isinstance(value, cls):
                raise TypeError(f"{what} is a gopark.http.{cls.__name__}, got {shown(value)}")
        self.limits = limits or Limits()
        self.timeouts = timeouts or Timeouts()
        self.app = app
        string("Server", "root_path", root_path)
        string("Server", "server_header", server_header)
        self.root_path = root_path.rstrip("/")
        self.proxies = Proxies(proxies)
        self.logs = access_log
        self.closing = False
        self.base = background()
        self._ending = False
        self._iscut = False  # what is under way was cut
        self.scheme = "http"
        self.asgi = {"version": "3.0", "spec_version": "2.5"}
        self.extensions = {
            "http.response.pathsend": {},
            "http.response.early_hint": {},
            "http.response.trailers": {},
        }
        self.conns = set()
        self.exchange: type[Exchange] = Exchange
        self.stream: type[Stream] = Stream
        self.http2 = http2 and available()
        self._websocket: type[WebSocket] = WebSocket
        self.sleepers = Sleepers()
        self._name = server_header.encode("latin-1")
        self._stamps = [b""] * 4
        self._reaper = Reaper(self.timeouts, self.conns, self._tick)
        mode = lifespan if self.interface == "asgi" else "off"
        self._lifespan = Lifespan(app, mode, self.loop)
        self.state = self._lifespan.state
        self._listeners: list[Any] = []
        self._loops = _loops(loops)
        self._ends: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._room = Chan[None](1)  # somebody has left
        self._over = Chan[None]()
        self._started = False
        self.run = self._runner()
        if self.limits.max_requests is not None:
            self.run = self._counting(self.run, self.limits.max_requests)
        self._mount = None
        if checked(debug) != "off":
            self._mount = Mount(debug, self.run)
            self.run = self._mount.run
            self._ends.append(self._mount.end)

    __reduce_ex__ = nocopy

    def __repr__(self) -> str:
        where = ", ".join(str(ln.addr) for ln in self._listeners) or "nowhere"
        return (
            f"<Server of {self.interface}, {self.loop}, on {where}, {len(self.conns)} connections>"
        )

    # --- its life -------------------------------------------------------------------------------

    async def serve(self, *listeners: Accepts[Any]) -> None:
        """Accept connections and answer them, until `shutdown` or `close` has done its work.

        Args:
            listeners: What `gopark.net.listen` or `gopark.tls.listen` gives. They are the server's
                from here on.
        Raises:
            LifespanError: the application cannot start.
            TypeError: one of them is no listener.
            RuntimeError: the server has ended, or is running.
        Example:
            >>> async def app(scope, receive, send):
            ...     raise NotImplementedError
            >>> async def main():
            ...     server = gopark.http.Server(app, loop="bare", lifespan="off")
            ...     gopark.time.after_func(0.01, server.shutdown)
            ...     await server.serve(gopark.net.listen("tcp", "127.0.0.1:0"))
            >>> gopark.run(main)

        Go: http.Server.Serve.
        """
        for ln in listeners:
            if not hasattr(ln, "__aiter__") or not hasattr(ln, "close"):
                raise TypeError(
                    f"Server.serve() needs what net.listen or tls.listen gives, got {shown(ln)}"
                )
        if self._started:
            raise RuntimeError("Server.serve: it is running, or has ended: make another Server")
        self._started = True
        self._listeners = list(listeners)
        if self._ending:  # `shutdown` came before this goroutine
            self._unlisten()
            return
        self.base = current()
        servers.add(self)
        try:
            if self._mount is not None:
                self._mount.start()
            await self._lifespan.startup()
        except BaseException:
            self._unlisten()
            self._ending = True
            self._over.close()
            raise
        for ln in self._listeners:
            go(self._accept, ln)
        await self._over.recv_ok()

    def _counting(self, run: Any, most: int) -> Callable[[Any], Coroutine[Any, Any, None]]:
        numbers = count(1)

        def counted(exchange: Any) -> Coroutine[Any, Any, None]:
            if next(numbers) == most:
                _log.info("%d requests: the server ends", most)
                Variables().run(go, self.shutdown)  # not within the request's
            return run(exchange)  # type: ignore[no-any-return]

        return counted

    async def _accept(self, ln: Any) -> None:
        most = self.limits.connections
        conns, reaper = self.conns, self._reaper
        async for conn in ln:
            link = HTTP1(self, conn)
            conns.add(link)
            if self._iscut:
                link.close()  # it came as the rest was cut
                break
            reaper.start()
            go(link.serve)
            while most is not None and len(conns) >= most and not self.closing:
                await self._room.recv()

    def _unlisten(self) -> None:
        for ln in self._listeners:
            ln.close()

    async def shutdown(self, grace: float | None = None) -> None:
        """End in good order: no new connections, what is under way is answered, the rest is cut.

        Args:
            grace: Seconds for what is under way; None: what `timeouts` says.
        Example:
            >>> async def app(scope, receive, send):
            ...     raise NotImplementedError
            >>> async def main():
            ...     server = gopark.http.Server(app, loop="bare", lifespan="off")
            ...     gopark.go(server.serve, gopark.net.listen("tcp", "127.0.0.1:0"))
            ...     await gopark.gosched()
            ...     await server.shutdown()
            >>> gopark.run(main)

        Go: http.Server.Shutdown.
        """
        if grace is not None:
            grace = seconds("Server.shutdown", grace, "grace")
        if self._ending:
            await self._over.recv_ok()
            return
        self._ending = True
        self._stop()
        grace = self.timeouts.shutdown if grace is None else grace
        until = None if grace is None else after(grace)
        while self.conns:
            index, _, _ = await select(recv(self._room), recv(until))
            if index:
                break
        self._cut()
        await self._lifespan.shutdown()
        for end in self._ends:
            await end()
        self._over.close()

    def _stop(self) -> None:
        self.closing = True
        self._unlisten()
        self._room.try_send(None)
        for link in list(self.conns):
            link.ending()

    def close(self) -> None:
        """Cut whatever is under way, and say what that is. Who waits in `serve` goes on.

        Example:
            >>> async def app(scope, receive, send):
            ...     raise NotImplementedError
            >>> async def main():
            ...     server = gopark.http.Server(app, loop="bare", lifespan="off")
            ...     gopark.time.after_func(0.01, server.close)
            ...     await server.serve(gopark.net.listen("tcp", "127.0.0.1:0"))
            >>> gopark.run(main)

        Go: http.Server.Close.
        """
        self._stop()
        self._cut()
        if self._ending:
            return
        if self._started:
            go(self.shutdown)
        else:  # `serve` has nothing to do any more
            self._ending = True
            self._over.close()

    def _cut(self) -> None:
        cut = [one for link in list(self.conns) for one in link.requests()]
        if cut:
            _log.warning("%d requests were cut: %s", len(cut), _requests(cut))
        self._iscut = True
        for link in list(self.conns):
            link.close()


def _loops(value: int | str) -> int:
    if value == "auto":
        return 0
    if isinstance(value, str):
        raise ValueError(f"loops is a number, or 'auto', got {shown(value)}")
    integer("Server", "loops", value)
    if value < 1:
        raise ValueError(f"loops is at least 1, got {shown(value)}")
    return value


def _requests(exchanges: list[Exchange]) -> str:
    names = [
        f"{one.scope.get('method', one.scope['type'])} {one.scope['path']}"
        for one in exchanges[:_SHOWN]
    ]
    more = len(exchanges) - _SHOWN
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")
