"""Stacks of those who started a goroutine, in dumps: `GOPARKDEBUG=tracebackancestors=N`.

While it is on, `go` notes where its caller stands, and whom the caller came from, up to N
generations; a dump shows them behind the goroutine's creator, the youngest first. It costs a
walk over the stack at each `go`, so nothing of it is loaded while it is off.

Relies on: setting an item of a dict being atomic on both builds.
Source: Go 1.27 runtime/proc.go (saveAncestors), traceback.go (printAncestorTraceback).
Tests: tests/conformance/traceback/test_ancestors.py
"""

from __future__ import annotations

import sys
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from gopark._runtime.base.hooks import births
from gopark._runtime.base.lockrank import debugvar
from gopark._runtime.base.runtime2 import G, callers, getg, tls
from gopark._runtime.report.symtab import Frame
from gopark._runtime.report.traceback import createdby, doors, formatframes, threadframes

__all__ = ("install",)

_MAXFRAMES: Final = 50  # of each ancestor


class Ancestor(NamedTuple):
    """Where a goroutine was when it started another one."""

    goid: int
    frames: list[Frame]
    created: str


_ancestors: Final[WeakKeyDictionary[G, tuple[Ancestor, ...]]] = WeakKeyDictionary()


def install() -> None:
    """Have `go` take notes, and dumps show them."""
    try:
        generations = int(debugvar("tracebackancestors") or 0)
    except ValueError:
        return
    if generations <= 0:
        return

    def born(g: G) -> None:
        me = getg()
        if g.gocode is None or me is None:
            _ancestors.pop(g, None)  # of the one that it was before
        else:
            _ancestors[g] = (_here(me), *_ancestors.get(me, ()))[:generations]

    births.append(born)
    doors.ancestors = _text


def _here(me: G) -> Ancestor:
    links: list[Any] = callers(sys._getframe(1))
    created = createdby(me, parent=False) if me.goid != 1 else ""
    return Ancestor(me.goid, threadframes(links, tls.m)[:_MAXFRAMES], created)


def _text(g: G) -> str:
    lines = []
    for goid, frames, created in _ancestors.get(g, ()):
        lines.append(f"[originating from goroutine {goid}]:\n")
        lines += formatframes(frames)
        if len(frames) == _MAXFRAMES:
            lines.append("...additional frames elided...\n")
        lines.append(created)
    return "".join(lines)
