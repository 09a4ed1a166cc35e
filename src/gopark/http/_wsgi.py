"""WSGI: an application is called in its connection's goroutine, and may block its thread.

A body of moderate size is read before the call, so that the application finds it there; of a larger
one `wsgi.input` has the goroutine wait as it is read. What the application gives as a list is sent
as one, with its length; what it makes bit by bit is sent bit by bit.

Header names with an underscore are left out: in the environment they could not be told from those
with a hyphen, which a proxy in front may have seen to.

Source: PEP 3333. Tests: tests/http/test_wsgi.py
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from gopark._runtime.base.printstring import shown
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.lockedm import block
from gopark.http._exchange import FRESH, Exchange

__all__ = ("FileWrapper", "Input", "run")

_READY: Final = 65536  # bytes of a body that are read before the call
_BLOCK: Final = 65536
_MOST: Final = 2000  # names of headers that are remembered
_keys: Final[dict[bytes, str]] = {}


class Input:
    """`wsgi.input`: the body of a request, read as it is asked for."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._data = b""

    def _more(self) -> bytes:
        """The next piece; none at the end.

        Raises:
            OSError: the client has left before the end.
        """
        exchange = self._exchange
        if exchange.told:
            return b""
        message = exchange.take()
        if message is None:
            message = block(exchange.slow())
        if message["type"] != "http.request":
            raise OSError("the client has left, and not sent the whole body")
        body: bytes = message["body"]
        return body if body or not message["more_body"] else self._more()

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes; all that there are, if it is negative or None."""
        if size is None or size < 0:
            parts = [self._data]
            while data := self._more():
                parts.append(data)
            self._data = b""
            return b"".join(parts)
        parts, have = [self._data], len(self._data)
        while have < size and (data := self._more()):
            parts.append(data)
            have += len(data)
        data = b"".join(parts)
        self._data = data[size:]
        return data[:size]

    def readline(self, size: int | None = -1) -> bytes:
        """The next line, with its end."""
        most = sys.maxsize if size is None or size < 0 else size
        data, end = self._data, self._data.find(b"\n")
        while end < 0 and len(data) < most and (more := self._more()):
            at = len(data)
            data += more
            end = data.find(b"\n", at)
        cut = min(most, len(data) if end < 0 else end + 1)
        self._data = data[cut:]
        return data[:cut]

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """All lines; no more of them once they have `hint` bytes."""
        lines, size = [], 0
        for line in self:
            lines.append(line)
            size += len(line)
            if hint is not None and 0 < hint <= size:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line


class FileWrapper:
    """`wsgi.file_wrapper`: a file as an answer's body, which the system sends where it can."""

    def __init__(self, filelike: Any, block_size: int = _BLOCK) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        while data := self.filelike.read(self.block_size):
            yield data

    def part(self) -> tuple[int, int] | None:
        """From where to where, if the system can send it."""
        try:
            status = os.fstat(self.filelike.fileno())
            at = self.filelike.tell()
        except (AttributeError, OSError, ValueError):
            return None
        return (at, status.st_size) if stat.S_ISREG(status.st_mode) else None


def environ(exchange: Exchange) -> dict[str, Any]:
    """What the application is called with."""
    scope = exchange.scope
    link = exchange.link
    env: dict[str, Any] = (link.environ or _ofconnection(link, scope)).copy()
    path, raw = scope["path"], scope["raw_path"]
    query = scope["query_string"].decode("latin-1")
    root = scope["root_path"]
    if root:
        path = path[len(root) :]
    env["REQUEST_METHOD"] = scope["method"]
    env["PATH_INFO"] = path if path.isascii() else _latin(path)
    env["QUERY_STRING"] = query
    target = raw.decode("latin-1")
    env["RAW_URI"] = f"{target}?{query}" if query else target
    env["SERVER_PROTOCOL"] = f"HTTP/{scope['http_version']}"
    env["wsgi.url_scheme"] = scope["scheme"]
    env["wsgi.input"] = Input(exchange)
    if (client := scope["client"]) is not link.client:  # a proxy has said so
        env["REMOTE_ADDR"] = client[0]
    for raw, value in scope["headers"]:
        key = _keys.get(raw)
        if key is None:
            key = _key(raw)
        if not key:
            continue
        text = value.decode("latin-1")
        if key in env:
            text = env[key] + ("; " if key == "HTTP_COOKIE" else ",") + text
        env[key] = text
    return env


def _ofconnection(link: Any, scope: Any) -> dict[str, Any]:
    """What is the same for all requests of a connection."""
    host, port = link.local
    env: dict[str, Any] = {
        "SCRIPT_NAME": _latin(scope["root_path"]),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or ""),
        "REMOTE_ADDR": link.client[0] if link.client else "",
        "wsgi.version": (1, 0),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True,
    }
    if link.client:
        env["REMOTE_PORT"] = str(link.client[1])
    link.environ = env
    return env


def _latin(text: str) -> str:
    """UTF-8 as PEP 3333 wants it: a character for each byte."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _key(raw: bytes) -> str:
    """Of a header's name; "" for one that is left out."""
    name = raw.decode("latin-1")
    key = "" if "_" in name else name.upper().replace("-", "_")
    if key and key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = "HTTP_" + key
    if len(_keys) < _MOST:
        _keys[raw] = key
    return key


class _Answer:
    """What `start_response` gathers."""

    __slots__ = ("_exchange", "_said")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._said: dict[str, Any] | None = None

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """`start_response` of PEP 3333."""
        if exc_info is not None:
            try:
                if self._exchange.state != FRESH:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._said is not None:
            raise RuntimeError("start_response was called before: a second call needs exc_info")
        code = status[:3]
        if not isinstance(status, str) or not code.isdigit() or status[3:4] not in ("", " "):
            raise ValueError(f"a status is as '200 OK', got {shown(status)}")
        self._said = {
            "type": "http.response.start",
            "status": int(code),
            "headers": [(n.encode("latin-1"), v.encode("latin-1")) for n, v in headers],
        }
        return self._write

    def _write(self, data: bytes) -> None:
        block(self.body(data, True))

    async def body(self, data: bytes, more: bool) -> None:
        """A piece of the body, with the head before the first."""
        exchange = self._exchange
        await self.head()
        await exchange.send({"type": "http.response.body", "body": data, "more_body": more})

    async def head(self) -> None:
        """The head is to be sent with what comes next."""
        if self._exchange.state == FRESH:
            if self._said is None:
                raise RuntimeError("the application has not called start_response")
            await self._exchange.send(self._said)


async def run(app: Any, exchange: Exchange) -> None:
    """In the connection's goroutine: have the application answer."""
    if not exchange.complete:
        await _ready(exchange)
    answer = _Answer(exchange)
    result = app(environ(exchange), answer.start)
    try:
        if isinstance(result, FileWrapper) and (part := result.part()) is not None:
            await answer.head()
            await exchange.link.writefile(result.filelike, *part)
        else:
            await _send(answer, result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()


async def _send(answer: _Answer, result: Iterable[bytes]) -> None:
    if isinstance(result, list | tuple):
        await answer.body(result[0] if len(result) == 1 else b"".join(result), False)
        return
    for piece in result:
        if piece:
            await answer.body(piece, True)
    await answer.body(b"", False)


async def _ready(exchange: Exchange) -> None:
    """Read the body, if it is said to be of moderate size; who sends it slowly holds up nobody."""
    for name, value in exchange.scope["headers"]:
        if name == b"content-length":
            if int(value) > _READY:
                return
            break
    else:
        return
    await exchange.proceed()
    while not exchange.complete:
        if not await exchange.link.more():
            return


transparent.update((run.__code__, _send.__code__))
