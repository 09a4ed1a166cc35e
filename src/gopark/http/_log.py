"""The access log: a line for each answer, in the usual format, through `logging`.

    127.0.0.1 - - [01/Dec/2026:10:00:00 +0000] "GET /a?b=c HTTP/1.1" 200 12 "-" "curl/8.5.0" 0.001

That is the combined format of Apache and nginx, with the seconds that it took. What a client has
chosen stands there with all but printable characters escaped: nobody writes lines of his own.

Tests: tests/http/test_log.py
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from gopark._runtime.base.timenow import monotonic

__all__ = ("access", "line")

access: Final = logging.getLogger("gopark.http.access")


def line(exchange: Any) -> str:
    """That of one answer."""
    scope = exchange.scope
    client = scope["client"]
    target = scope["raw_path"]
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    headers = dict(scope["headers"])
    return (
        f"{client[0] if client else '-'} - - [{_now()}] "
        f'"{scope["method"]} {_text(target)} HTTP/{scope["http_version"]}" '
        f"{exchange.status or '-'} {exchange.sent} "
        f'"{_text(headers.get(b"referer", b"-"))}" "{_text(headers.get(b"user-agent", b"-"))}" '
        f"{monotonic() - exchange.since:.3f}"
    )


def _now() -> str:
    return time.strftime("%d/%b/%Y:%H:%M:%S %z")


def _text(value: bytes) -> str:
    text = value.decode("latin-1")
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\' else f"\\x{ord(c):02x}"
        for c in text
    )
