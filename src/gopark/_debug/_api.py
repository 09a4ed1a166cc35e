"""The JSON behind the page, all below `/debug/gopark/`.

  state.json       counts now, the curve since `since`, Ms, Ps and queues
  groups.json      goroutines, and tasks of event loops, by state, stack and creator: `q` words to look for, `state`,
                   `sort` (count, age, name), `offset`, `limit`
  goroutines.json  those of one group: `group`, `offset`, `limit`
  goroutine.json   one, with its stack as in a dump, and the scopes it is in: `id`
  graph.json       who waits for whom

Lists come in pages of at most _PAGE, with the number of all.

Source: none. Tests: tests/debug/test_api.py
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from gopark._debug import _look
from gopark._debug._answer import Refused, number
from gopark._debug._graph import waitson
from gopark._debug._shared import Shared
from gopark._runtime.base.runtime2 import allgs
from gopark._runtime.report.traceback import gtraceback, threadstates
from gopark._runtime.scope.told import scopesof

__all__ = ("ANSWERS", "groups", "program")

_PAGE: Final = 500
_ORDERS: Final = ("count", "age", "name")
_DIGITS: Final = 18  # of the number of a goroutine
Query = Mapping[str, str]


def program() -> dict[str, Any]:
    """Which program this is."""
    name = sys.argv[0] if sys.argv and sys.argv[0] else "python"
    return {
        "name": os.path.basename(name),
        "pid": os.getpid(),
        "python": sys.version.partition(" ")[0],
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "gopark": sys.modules["gopark"].__version__,
    }


def _state(shared: Shared, query: Query) -> dict[str, Any]:
    ticks, history = shared.ticks, list(shared.history)
    since = number(query, "since", 0)
    new = min(max(0, ticks - since), len(history))
    return {
        "program": program(),
        "counts": _look.counts(),
        "tick": ticks,
        "history": history[len(history) - new :],
        **_look.machines(),
    }


def groups(look: _look.Look, query: Query) -> tuple[list[_look.Group], int]:
    """The groups that match, in the order that was asked for; how many goroutines they are."""
    found = look.groups
    if state := query.get("state"):
        found = [group for group in found if group.what == state]
    words = query.get("q", "").lower().split()
    if words:
        found = [group for group in found if _matches(group, words)]
    order = query.get("sort", "count")
    if order not in _ORDERS:
        raise Refused(400, f"sort must be one of {', '.join(_ORDERS)}, not {order!r}")
    if order != "count":
        found = sorted(found, key=_look.sortkey(order))
    return found, sum(map(len, found))


def who(look: _look.Look) -> str:
    """Of what the groups are."""
    return "goroutines and tasks" if any(group.names for group in look.groups) else "goroutines"


def _matches(group: _look.Group, words: list[str]) -> bool:
    """Every word is in the text of the group; one that is a number may be a goroutine's, too."""
    text = group.text()
    return all(word in text or (_isnumber(word) and group.has(int(word))) for word in words)


def _isnumber(word: str) -> bool:
    return word.isdecimal() and len(word) <= _DIGITS  # int() takes no number of any length


def _groups(shared: Shared, query: Query) -> dict[str, Any]:
    look = shared.look()
    found, total = groups(look, query)
    offset, limit = number(query, "offset", 0), number(query, "limit", 50, _PAGE)
    now = time.monotonic()
    return {
        "at": look.at,
        "took": look.took,
        "total": look.total,
        "who": who(look),
        "states": look.states,
        "matching": total,
        "length": len(found),
        "offset": offset,
        "groups": [_look.asjson(group, now) for group in found[offset : offset + limit]],
    }


def _goroutines(shared: Shared, query: Query) -> dict[str, Any]:
    key = query.get("group", "")
    group = shared.look().find(key)
    if group is None:
        raise Refused(404, "there is no such group any more")
    offset, limit = number(query, "offset", 0), number(query, "limit", 100, _PAGE)
    now = time.monotonic()
    return {
        "group": key,
        "length": len(group),
        "offset": offset,
        "goroutines": [
            {"id": goid, "age": max(0.0, now - since) if since else None}
            for goid, since in group.page(offset, limit)
        ],
    }


def _goroutine(shared: Shared, query: Query) -> dict[str, Any]:
    goid = number(query, "id", -1)
    g = next((g for g in allgs.copy() if g.goid == goid), None)
    text = "" if g is None else gtraceback(g, threads=threadstates())
    if g is None or not text:
        raise Refused(404, f"there is no goroutine {goid}: it has ended, or there never was one")
    return {
        "id": goid,
        "stack": text,
        "what": _look.what(g),
        "waits_on": waitson(g),
        "scopes": scopesof(g),
    }


def _graph(shared: Shared, query: Query) -> dict[str, Any]:
    return shared.graph()


ANSWERS: Final[dict[str, Callable[[Shared, Query], dict[str, Any]]]] = {
    "state.json": _state,
    "groups.json": _groups,
    "goroutines.json": _goroutines,
    "goroutine.json": _goroutine,
    "graph.json": _graph,
}
