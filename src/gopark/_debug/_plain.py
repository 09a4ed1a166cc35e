"""The page itself: what a browser gets first, and all that one without a script gets.

Without a script it is a table of the groups, with a form to search it and links to the rest of it.
The script takes the place of the table, and shows what is marked `hidden` here.

Source: none. Tests: tests/debug/test_serve.py, test_browser.py
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from html import escape
from importlib import resources
from math import inf
from typing import Any, Final
from urllib.parse import urlencode

from gopark._debug import _api, _look
from gopark._debug._answer import number
from gopark._runtime.report.symtab import Frame

__all__ = ("age", "home")

_ROWS: Final = 50
_PLACE: Final = re.compile(r"\{\{([A-Z]+)\}\}")


def home(look: _look.Look, query: Mapping[str, str], token: str = "") -> str:
    """The page with the groups that were asked for; with `token` in its links, if there is one."""
    found, matching = _api.groups(look, query)
    offset = number(query, "offset", 0)
    program = _api.program()
    values: dict[str, Any] = {
        "NAME": program["name"],
        "ABOUT": _about(program),
        "Q": query.get("q", ""),
        "TOKEN": token and f"?token={token}",
        "ANDTOKEN": token and f"&token={token}",
        "SUMMARY": f"{matching:,} {_api.who(look)} in {len(found):,} groups",
    }
    text = resources.files("gopark._debug").joinpath("static", "page.html").read_text("utf-8")
    now = time.monotonic()
    rows = "".join(_row(group, now) for group in found[offset : offset + _ROWS])
    shown = {name: escape(str(value)) for name, value in values.items()}
    shown |= {"ROWS": rows, "PAGES": _pages(query, offset, len(found))}
    # In one go, for what is put in may look like a place to put something in.
    return _PLACE.sub(lambda place: shown[place[1]], text)


def _about(program: dict[str, Any]) -> str:
    build = "" if program["gil"] else ", free-threaded"
    return f"pid {program['pid']} · Python {program['python']}{build} · gopark {program['gopark']}"


def _row(group: _look.Group, now: float) -> str:
    waited = "" if group.oldest == inf else age(max(0.0, now - group.oldest))
    stack = "".join(f"<li>{_frame(frame)}</li>" for frame in group.frames)
    if group.creator is not None:
        stack += f"<li>created by {_frame(group.creator)}</li>"
    some = map(str, group.first(8)) if group.ids else map(escape, group.names[:8])
    ids = ", ".join(some) + (", …" if len(group) > 8 else "")
    return (
        f'<tr><td class="n">{len(group):,}</td><td>{escape(group.what)}</td><td class="n">'
        f'{waited}</td><td><ol class="stack">{stack}</ol></td><td>{ids}</td></tr>\n'
    )


def _frame(frame: Frame) -> str:
    func, file, line = frame
    return f"<b>{escape(func)}</b> <span>{escape(file)}:{line}</span>"


def _pages(query: Mapping[str, str], offset: int, length: int) -> str:
    links = []
    for text, to in (("previous", offset - _ROWS), ("next", offset + _ROWS)):
        if (0 <= to < length) or (to < 0 < offset):
            href = urlencode({**query, "offset": max(0, to)})
            links.append(f'<a href="?{escape(href)}">{text}</a>')
    return " · ".join(links)


def age(seconds: float) -> str:
    """A duration in one or two units."""
    if seconds < 1:
        return "&lt;1s"
    whole = int(seconds)
    for unit, size, small in (("d", 86400, "h"), ("h", 3600, "m"), ("m", 60, "s")):
        if whole >= size:
            rest = whole % size // {"h": 3600, "m": 60, "s": 1}[small]
            return f"{whole // size}{unit}" + (f" {rest}{small}" if rest else "")
    return f"{whole}s"
