"""Labels of goroutines: pairs of strings that a goroutine hands on to those that it starts.

They are one context variable, so that `go` hands them on with the context it copies anyway.
Dumps show them if `GOPARKDEBUG=tracebacklabels=1` says so, sorted, in braces behind the status;
without it a header holds what every reader of Go's dumps knows.

A goroutine that waits on a thread keeps its context there, out of the sight of others, so it
leaves its labels in `_pinned` meanwhile. On a free-threaded build a context must not be read
while another thread may be writing to it, so labels are noted in a place of their own as well,
by the context that has them, when they are set and when `go` hands them on. Both begin with the
first label that is set: a program without any pays for neither.

Relies on: storing, reading and popping an item of a dict being atomic on both builds.

Source: Go 1.27 runtime/proflabel.go, traceback.go (goroutineheader), print.go (printquoted).
Tests: tests/conformance/traceback/test_labels.py
"""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, Final, ParamSpec, TypeVar

from gopark._runtime.base.hooks import births
from gopark._runtime.base.lockrank import debugvar, lasting
from gopark._runtime.base.runtime2 import FREETHREADED, GWAITING, G, getg
from gopark._runtime.report.traceback import doors
from gopark._runtime.sched import lockedm

__all__ = ("Labels", "contextvalue", "getproflabel", "install", "labelsof", "setproflabel")

A = ParamSpec("A")
T = TypeVar("T")

Labels = tuple[tuple[str, str], ...]  # sorted by key, each key once

_labels: Final[ContextVar[Labels]] = ContextVar("gopark_labels", default=())
_PLAIN: Final = re.compile(r"[A-Za-z0-9./_]*")
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", '"': '\\"'}


def setproflabel(labels: Labels) -> None:
    """Label the calling goroutine, and those that it starts from now on."""
    if labels and not _used:
        _use()
    _labels.set(labels)
    if FREETHREADED and _used and (g := getg()) is not None:
        _note(_contextof(g), labels)


def getproflabel() -> Labels:
    """The labels of the calling goroutine."""
    return _labels.get()


def install() -> None:
    """Have headers show labels, if GOPARKDEBUG asks for it."""
    if debugvar("tracebacklabels") == "1":
        doors.labels = _text


_used: Final[list[None]] = []  # an item once there are labels


def _use() -> None:
    """The first label: from now on see to it that those of any goroutine can be read."""
    with _uselock:
        if _used:
            return
        lockedm.mpark, lockedm.requeue = _pinning(lockedm.mpark), _pinning(lockedm.requeue)
        if FREETHREADED:
            births.append(_born)
        _used.append(None)


_uselock: Final = lasting(threading.RLock())


def _pinning(wait: Callable[A, None]) -> Callable[A, None]:
    """Around a wait on the thread: the last argument is the goroutine."""

    def pinned(*args: A.args, **kwargs: A.kwargs) -> None:
        g: Any = args[-1]
        _pinned[g] = labelsof(g)
        try:
            wait(*args, **kwargs)
        finally:
            _pinned.pop(g, None)

    return pinned


# Free-threaded: labels by the identity of the context that has them, with a weak reference
# that forgets them when that dies.
_notes: Final[dict[int, tuple[Labels, object]]] = {}


def _born(g: G) -> None:
    """It has its creator's labels, in a context of its own."""
    if labels := _labels.get():
        _note(_contextof(g), labels)


def _note(ctx: Context | None, labels: Labels) -> None:
    if ctx is not None:
        key = id(ctx)
        _notes[key] = labels, weakref.ref(ctx, lambda _: _notes.pop(key, None))


_pinned: Final[dict[G, Labels]] = {}


def _text(g: G) -> str:
    pairs = ", ".join(f"{_quoted(key)}: {_quoted(value)}" for key, value in labelsof(g))
    return f" {{{pairs}}}" if pairs else ""


def labelsof(g: G) -> Labels:
    """The labels of any goroutine; none if they cannot be read now."""
    pinned = _pinned.get(g)
    if pinned is not None:
        return pinned
    if FREETHREADED and g is not getg():
        found = _notes.get(id(_contextof(g)))
        return () if found is None else found[0]
    return contextvalue(g, _labels, ())


def contextvalue(g: G, var: ContextVar[T], default: T, unknown: T | None = None) -> T:
    """What a context variable has in a goroutine.

    `unknown` (`default` unless given) if it is on its way, so that it cannot be read now.
    """
    if unknown is None:
        unknown = default
    ctx = _contextof(g)
    if ctx is None:  # that of a thread of Python's, which only it can read
        return var.get(default) if g is getg() else default
    if not FREETHREADED or g is getg():
        return ctx.get(var, default)
    waiting = g.waiting
    if g.status is not GWAITING or waiting is None:
        return unknown
    found = waiting.frozen(g, lambda _: [ctx.get(var, default)])
    return found[0] if found else unknown


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
