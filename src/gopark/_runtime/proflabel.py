"""Labels of goroutines: pairs of strings that a goroutine hands on to those that it starts.

They are one context variable, so that `go` hands them on with the context it copies anyway.
Dumps show them if `GOPARKDEBUG=tracebacklabels=1` says so, sorted, in braces behind the status;
without it a header holds what every reader of Go's dumps knows.

A goroutine that waits on a thread keeps its context there, out of the sight of others, so for
dumps it leaves its labels in `_pinned` meanwhile. On a free-threaded build the context of a
goroutine that another thread runs cannot be read; its labels do not show, as its stack does not.

Relies on: storing, reading and popping an item of a dict being atomic on both builds.

Source: Go 1.27 runtime/proflabel.go, traceback.go (goroutineheader), print.go (printquoted).
Tests: tests/conformance/traceback/test_labels.py
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, Final, TypeVar

from gopark._runtime import lockedm, newproc
from gopark._runtime.lockrank import debugvar
from gopark._runtime.runtime2 import FREETHREADED, GWAITING, G, M, Sched, allgs, getg
from gopark._runtime.traceback import doors

__all__ = (
    "Labels",
    "contextvalue",
    "getproflabel",
    "install",
    "labelsof",
    "noted",
    "notelabels",
    "setproflabel",
)

T = TypeVar("T")

Labels = tuple[tuple[str, str], ...]  # sorted by key, each key once

_labels: Final[ContextVar[Labels]] = ContextVar("gopark_labels", default=())
_PLAIN: Final = re.compile(r"[A-Za-z0-9./_]*")
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", '"': '\\"'}


def setproflabel(labels: Labels) -> None:
    """Label the calling goroutine, and those that it starts from now on."""
    _labels.set(labels)
    if (notes := _notes.get("on")) is not None and (g := getg()) is not None:
        _note(notes, g.ctx, labels)


def getproflabel() -> Labels:
    """The labels of the calling goroutine."""
    return _labels.get()


def install() -> None:
    """Have headers show labels, if GOPARKDEBUG asks for it."""
    if debugvar("tracebacklabels") != "1":
        return
    doors.labels = _text
    mpark, requeue = lockedm.mpark, lockedm.requeue

    def pinnedmpark(m: M, g: G) -> None:
        with _Pinned(g):
            mpark(m, g)

    def pinnedrequeue(sched: Sched, m: M, g: G) -> None:
        with _Pinned(g):
            requeue(sched, m, g)

    lockedm.mpark, lockedm.requeue = pinnedmpark, pinnedrequeue


# --- for the CPU profile on free-threaded builds, while it is on ----------------------------

# Labels by the identity of the context that has them, with what forgets them when that dies.
_Notes = dict[int, tuple[Labels, Any]]
_notes: Final[dict[str, _Notes]] = {}  # empty, or what has been noted under "on"


def notelabels(on: bool) -> None:
    """Note what labels goroutines are given, and hand on, for `noted`. On, then off."""
    if not on:
        _notes.clear()
        setattr(newproc, "copy_context", _plaincopy[0])  # noqa: B010 - it is imported there
        return
    notes: _Notes = {}
    _notes["on"] = notes
    _plaincopy[:] = [newproc.__dict__["copy_context"]]
    setattr(newproc, "copy_context", _notingcopy)  # noqa: B010
    for g in allgs.copy():
        if labels := labelsof(g):
            _note(notes, g.ctx, labels)


_plaincopy: Final[list[Callable[[], Context]]] = []


def _notingcopy() -> Context:
    """In the place of `copy_context` in `go`."""
    ctx = _plaincopy[0]()
    if (labels := _labels.get()) and (notes := _notes.get("on")) is not None:
        _note(notes, ctx, labels)
    return ctx


def _note(notes: _Notes, ctx: object, labels: Labels) -> None:
    key = id(ctx)
    try:
        notes[key] = labels, weakref.ref(ctx, lambda _: notes.pop(key, None))
    except TypeError:
        notes[key] = labels, ctx  # it cannot be told when it dies: kept until the profile ends


def noted(g: G) -> Labels:
    """The labels of a goroutine that another thread runs."""
    found = _notes.get("on", {}).get(id(g.ctx))
    return () if found is None else found[0]


_pinned: Final[dict[G, Labels]] = {}


class _Pinned:
    """While a goroutine waits on its thread, its labels lie where all can read them."""

    def __init__(self, g: G) -> None:
        self.g = g

    def __enter__(self) -> None:
        _pinned[self.g] = labelsof(self.g)

    def __exit__(self, *_: object) -> None:
        _pinned.pop(self.g, None)


def _text(g: G) -> str:
    pairs = ", ".join(f"{_quoted(key)}: {_quoted(value)}" for key, value in labelsof(g))
    return f" {{{pairs}}}" if pairs else ""


def labelsof(g: G) -> Labels:
    """The labels of any goroutine; none if they cannot be read now."""
    pinned = _pinned.get(g)
    if pinned is not None:
        return pinned
    return contextvalue(g, _labels, ())


def contextvalue(g: G, var: ContextVar[T], default: T) -> T:
    """What a context variable has in a goroutine; `default` if that cannot be read now."""
    ctx = _contextof(g)
    if ctx is None:  # that of a thread of Python's, which only it can read
        return var.get(default) if g is getg() else default
    if not FREETHREADED or g is getg():
        return ctx.get(var, default)
    waiting = g.waiting
    if g.status is not GWAITING or waiting is None:
        return default
    found = waiting.frozen(g, lambda _: [ctx.get(var, default)])
    return found[0] if found else default


def _contextof(g: G) -> Context | None:
    ctx: Any = g.ctx
    if ctx is None and (m := g.m) is not None and m.g is g:
        ctx = m.ctx  # a callback from C runs in that of its thread
    for _ in range(2):  # of lockedm.py, of checkmode.py
        if not isinstance(ctx, Context):
            ctx = getattr(ctx, "ctx", None)
    return ctx if isinstance(ctx, Context) else None


def _quoted(text: str) -> str:
    """As it is, or in quotes with escapes if it has characters that could be misread."""
    if _PLAIN.fullmatch(text):
        return text
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if " " <= char <= "~":
        return char
    number = ord(char)
    if number < 0x7F:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
