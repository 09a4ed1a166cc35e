"""Labels of goroutines: pairs of strings that a goroutine hands on to those that it starts.

They are one context variable, so that `go` hands them on with the context it copies anyway.
Dumps show them if `GOPARKDEBUG=tracebacklabels=1` says so, sorted, in braces behind the status;
without it a header holds what every reader of Go's dumps knows.

On a free-threaded build the context of a goroutine that another thread runs cannot be read;
its labels do not show, as its stack does not.

Source: Go 1.27 runtime/proflabel.go, traceback.go (goroutineheader), print.go (printquoted).
Tests: tests/conformance/traceback/test_labels.py
"""

from __future__ import annotations

import re
from contextvars import Context, ContextVar
from typing import Final

from gopark._runtime.lockrank import debugvar
from gopark._runtime.runtime2 import FREETHREADED, GWAITING, G, getg
from gopark._runtime.traceback import doors

__all__ = ("Labels", "getproflabel", "install", "setproflabel")

Labels = tuple[tuple[str, str], ...]  # sorted by key, each key once

_labels: Final[ContextVar[Labels]] = ContextVar("gopark_labels", default=())
_PLAIN: Final = re.compile(r"[A-Za-z0-9./_]*")
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", '"': '\\"'}


def setproflabel(labels: Labels) -> None:
    """Label the calling goroutine, and those that it starts from now on."""
    _labels.set(labels)


def getproflabel() -> Labels:
    """The labels of the calling goroutine."""
    return _labels.get()


def install() -> None:
    """Have headers show labels, if GOPARKDEBUG asks for it."""
    if debugvar("tracebacklabels") == "1":
        doors.labels = _text


def _text(g: G) -> str:
    pairs = ", ".join(f"{_quoted(key)}: {_quoted(value)}" for key, value in _labelsof(g))
    return f" {{{pairs}}}" if pairs else ""


def _labelsof(g: G) -> Labels:
    ctx = g.ctx
    if ctx is None:
        return ()
    if not FREETHREADED or g is getg():
        return _read(ctx)
    waiting = g.waiting
    if g.status is not GWAITING or waiting is None:
        return ()
    return tuple(waiting.frozen(g, lambda _: [*_read(ctx)]))


def _read(ctx: Context) -> Labels:
    return ctx.get(_labels, ())


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
