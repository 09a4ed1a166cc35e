"""What a goroutine is in, for dumps and the live page: scopes, whose task, whose request it is.

    in scopes (innermost first):
        goroutine 7: timeout(5.0), 3.2 s left; Task(fetch)

Read from any thread while the goroutine may run: a scope that is left meanwhile is
shown as it was at some moment. No code of users runs, and nothing is kept alive.

Locks: none. Source: none. Tests: tests/runtime/test_told.py
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from gopark._runtime.base.printstring import oneline
from gopark._runtime.base.runtime2 import G
from gopark._runtime.report.hosted import requests
from gopark._runtime.report.traceback import doors
from gopark._runtime.scope.scope import Scope, scopeof

__all__ = ("scopesof", "told")

_MOST: Final = 8  # scopes of a goroutine that are named
_NUMBERS: Final = 12  # goroutines of a line
_LINES: Final = 200


def scopesof(g: G, answered: dict[int, str] | None = None) -> list[str]:
    """Each with what there is to say of it, no more than a few; and the request that it answers."""
    found: list[str] = []
    scope = scopeof(g)
    while scope is not None:
        if len(found) == _MOST:
            found.append("...")
            break
        found.append(_told(scope))
        scope = scope._outer
    request = (requests() if answered is None else answered).get(g.goid)
    return found if request is None else [*found, request]


def _bare(g: G) -> bool:
    """In nothing but the scope that it was started in as a task; each task is the outermost."""
    scope = scopeof(g)
    return scope is not None and scope._outer is None and scope._istask


def _told(scope: Scope) -> str:
    text = oneline(scope._words())
    if scope._over:
        return text + ", over"
    left = scope._remaining()
    return text if left is None else f"{text}, {max(0.0, left):.1f} s left"


def told(gs: list[G], tasks: bool = True) -> str:
    """A part of a dump; empty if none of them is in any.

    Without `tasks`, for the report of a deadlock, which is Go's where nothing of ours is in it:
    one that is in no scope but its task's is left out.
    Each line has parentheses: a strict reader may take it for a function of the last goroutine.
    """
    groups: dict[str, list[int]] = {}
    answered = requests()
    for g in gs:
        if (tasks or not _bare(g)) and (scopes := scopesof(g, answered)):
            groups.setdefault("; ".join(scopes), []).append(g.goid)
    if not groups:
        return ""
    lines = [f"\t{_numbers(goids)}: {text}\n" for text, goids in islice(groups.items(), _LINES)]
    if len(groups) > _LINES:
        lines.append(f"\t{len(groups) - _LINES:,} more lines (not shown)\n")
    return "in scopes (innermost first):\n" + "".join(lines)


def _numbers(goids: list[int]) -> str:
    text = ", ".join(map(str, goids[:_NUMBERS]))
    more = len(goids) - _NUMBERS
    text += f" and {more:,} more" if more > 0 else ""
    return f"goroutine{'s' if len(goids) > 1 else ''} {text}"


doors.scopes = told
