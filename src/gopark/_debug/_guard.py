"""Who may ask the live page for what: the rules that keep other web sites out.

A browser sends what any site tells it to send: for a picture, a frame, a link. The site cannot read
the answer (no CORS headers), but it could have this program profiled for an hour. So a request
is taken for that of
  one of ours   the browser says that this page, or the user at the address bar, has made it
                (`Sec-Fetch-Site`, which no site can forge), or it has the token
  a tool        nothing in it speaks of a browser: curl, go tool pprof, Prometheus, urllib
  a browser     it does not say who has made it: an old one, or one that reaches the page by plain
                http from another machine, where none sends `Sec-Fetch-Site`
  a foreign     another site has: by `Sec-Fetch-Site`, or else by `Origin` or `Referer`
and gets

                                        ours   tool   browser           foreign
  the pages, which are text             yes    yes    yes               as a link that is followed
  looks as JSON, the pages' own files   yes    yes    yes               no
  what costs something, or starts it    yes    yes    with the token    no

The token is made anew for each server and stands in the links of its pages, where a browser needs
it. All that is before a host name that is not ours: a web site may point its own name at this
machine (DNS rebinding), and the browser would take the page for a part of that site.

Source: none; Go's net/http/pprof asks nobody. Tests: tests/debug/test_guard.py
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping
from email.message import Message
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from gopark._debug._answer import Refused

__all__ = ("Guard",)

_OURS, _TOOL, _BROWSER, _FOREIGN = "ours", "a tool", "a browser", "foreign"
# Text that costs a look at most, or nothing; it may be linked from elsewhere.
_PAGES: Final = frozenset({"/", "/debug/gopark/", "/debug/pprof", "/debug/pprof/"})
_CHEAP: Final = frozenset({"/debug/pprof/cmdline", "/debug/pprof/symbol"})


class Guard:
    """The rules of one server.

    Args:
        names: Host names that are ours, in lower case; addresses always are.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.token = secrets.token_urlsafe(16)

    def check(self, path: str, query: Mapping[str, str], headers: Message) -> str:
        """Raise Refused, or return the token if the links of the answer must have it, else ""."""
        host = headers.get("Host") or ""
        if not _isours(host, self.names):
            raise Refused(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this page is not served under the name {host!r}; use an address of the machine, "
                "localhost, or a name given to serve(hosts=...)",
            )
        sender = self._sender(query, headers)
        if sender is _FOREIGN and not (path in _PAGES and _followed(headers)):
            raise Refused(HTTPStatus.FORBIDDEN, "another site has no business with this page")
        if sender is _BROWSER and costs(path):
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "this browser does not say which site sends it here, and what costs something is "
                "for this page alone: follow the link at /debug/pprof/, or use a tool, as in "
                f"go tool pprof http://{host}{path}",
            )
        known = headers.get("Sec-Fetch-Site") is not None or sender is _TOOL
        return "" if known else self.token

    def _sender(self, query: Mapping[str, str], headers: Message) -> str:
        token = query.get("token", "").encode(errors="replace")
        if secrets.compare_digest(token, self.token.encode()):
            return _OURS
        site = headers.get("Sec-Fetch-Site")
        if site is not None:
            return _OURS if site in ("none", "same-origin") else _FOREIGN
        for name in ("Origin", "Referer"):
            origin = headers.get(name)
            if origin is not None:
                return _OURS if _samehost(origin, headers.get("Host") or "") else _FOREIGN
        return _BROWSER if _isbrowser(headers) else _TOOL


def costs(path: str) -> bool:
    """It starts something, collects garbage, has something counted from now on, or takes long."""
    below = path.startswith("/debug/pprof/") and path not in _CHEAP
    return (below and path not in _PAGES) or path == "/metrics"


def _followed(headers: Message) -> bool:
    """Somebody followed a link, as far as it says: it is no picture, no script, no frame."""
    mode, dest = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")
    return mode in (None, "navigate") and dest in (None, "document")


def _samehost(origin: str, host: str) -> bool:
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _isbrowser(headers: Message) -> bool:
    """All browsers call themselves Mozilla, and ask for a language. No site can keep them from it
    without asking for leave first (CORS), which is not given."""
    agent = headers.get("User-Agent") or ""
    return agent.startswith(("Mozilla/", "Opera/")) or "Accept-Language" in headers


def _isours(host: str, names: frozenset[str]) -> bool:
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
