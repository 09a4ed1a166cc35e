"""What is at Go's own paths: `/debug/pprof/` and below it, and `/metrics`.

`go tool pprof http://127.0.0.1:6060/debug/pprof/goroutine` asks for the path as it stands; for a
CPU profile it adds `seconds` itself. Profiles are in pprof's format unless `debug` asks for text.
A profile or a trace of some seconds is kept in memory and sent at the end of them, or dropped at
once when who asked for it hangs up. One that runs already, started by the program or by another
request, is not disturbed: the answer is its error.

Source: Go 1.27 net/http/pprof/pprof.go. Left out: POST to `symbol`, which is for profiles that
come without names; profiles of what happened between two moments (`seconds` for `mutex`).
Tests: tests/debug/test_paths.py
"""

from __future__ import annotations

import html
import importlib
import io
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from gopark import pprof
from gopark._debug._answer import Answer, Refused, Wait, number, seconds

__all__ = ("PROFILES", "answer")

ROOT: Final = "/debug/pprof/"
_BYTES: Final = "application/octet-stream"
_PLAIN: Final = re.compile("[A-Za-z0-9._-]+")  # a file name that needs no quoting
_LONGEST: Final = 3600  # seconds of a profile or a trace

# What the page says of each; the others that there are come without a word.
PROFILES: Final = {
    "block": "Stack traces that led to blocking on channels and locks.",
    "cmdline": "The command line of this program.",
    "goroutine": "Stack traces of all goroutines. With debug=2 as a dump.",
    "goroutineleak": "Goroutines that wait for ever, because nobody can reach what they wait on.",
    "mutex": "Stack traces of those who held mutexes that others waited for.",
    "profile": "CPU profile. The parameter seconds says how long; 30 without it.",
    "symbol": "Names of functions by their addresses; profiles from here bring theirs along.",
    "threadcreate": "What made the runtime start threads.",
    "trace": "What the scheduler did. The parameter seconds says how long; 1 without it.",
}

Query = Mapping[str, str]


def answer(path: str, query: Query, wait: Wait, token: str = "") -> Answer:
    """The answer to one request; what takes long passes its time in `wait`."""
    if path == "/metrics":
        return _metrics()
    if path == ROOT.rstrip("/"):
        return Answer("", status=301, headers={"Location": ROOT})
    if not path.startswith(ROOT):
        raise Refused(404, f"there is nothing at {path}; the page is at /debug/gopark/")
    name = path.removeprefix(ROOT)
    special = _SPECIAL.get(name)
    if special is not None:
        return special(query, wait)
    if not name:
        return _index(token)
    return _profile(name, query)


def _profile(name: str, query: Query) -> Answer:
    profile = pprof.lookup(name)
    if profile is None:
        raise Refused(404, "Unknown profile")
    if "seconds" in query:
        raise Refused(400, '"seconds" parameter is not supported for this profile type')
    debug = number(query, "debug", 0)
    file = io.BytesIO()
    profile.write_to(file, debug)
    if debug:
        return Answer(file.getvalue())
    return _download(name, file.getvalue())


def _download(name: str, data: bytes) -> Answer:
    called = f'filename="{name}"'
    if not _PLAIN.fullmatch(name):  # the name of a profile can be any text
        called = f"filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return Answer(data, _BYTES, headers={"Content-Disposition": f"attachment; {called}"})


# --- those that take time ----------------------------------------------------------------


def _cpu(query: Query, wait: Wait) -> Answer:
    """Go: Profile."""
    duration = seconds(query, 30, _LONGEST)
    file = io.BytesIO()
    profiler: Any = pprof
    try:
        profiler.start_cpu_profile(file)
    except RuntimeError as exc:
        raise Refused(500, f"Could not enable CPU profiling: {exc}") from exc
    try:
        wait(duration)
    finally:
        profiler.stop_cpu_profile()
    return _download("profile", file.getvalue())


def _trace(query: Query, wait: Wait) -> Answer:
    """Go: Trace."""
    duration = seconds(query, 1, _LONGEST)
    trace: Any = importlib.import_module("gopark.trace")
    file = io.BytesIO()
    try:
        trace.start(file)
    except RuntimeError as exc:
        raise Refused(500, f"Could not enable tracing: {exc}") from exc
    try:
        wait(duration)
    finally:
        trace.stop()
    return _download("trace", file.getvalue())


# --- the others ----------------------------------------------------------------------------


def _cmdline(query: Query, wait: Wait) -> Answer:
    return Answer("\0".join(sys.argv))


def _symbol(query: Query, wait: Wait) -> Answer:
    return Answer("num_symbols: 1\n")


def _index(token: str) -> Answer:
    """Go: Index. The links to what costs something have the token, where there has to be one."""
    counts = {profile.name: str(profile.count()) for profile in pprof.profiles()}
    rows = ""
    for name in sorted({*PROFILES, *counts}):
        said = ["debug=1"] * (name in counts) + [f"token={token}"] * bool(token)
        href = html.escape(quote(name, errors="replace") + "?" * bool(said) + "&".join(said))
        says = html.escape(PROFILES.get(name, "A profile of this program."))
        link = f'<a href="{href}">{html.escape(name)}</a>'
        rows += f'<tr><td class="n">{counts.get(name, "")}</td><td>{link}</td><td>{says}</td></tr>'
    text = _INDEX.replace("TOKEN", token and html.escape(f"&token={token}")).replace("ROWS", rows)
    return Answer(text, "text/html; charset=utf-8")


_INDEX: Final = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>/debug/pprof/</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="../gopark/icon.svg">
<link rel="stylesheet" href="../gopark/page.css">
</head><body><main class="prose"><h1>/debug/pprof/</h1>
<p>Profiles of this program, in the format of <code>go tool pprof</code>, or as text with
<code>?debug=1</code>.</p>
<table><thead><tr><th>Count</th><th>Profile</th><th>What it is</th></tr></thead>
<tbody>
ROWS</tbody></table>
<p><a href="goroutine?debug=2TOKEN">All goroutines as a dump</a> ·
<a href="../gopark/">The live page</a></p></main></body></html>
"""

_SPECIAL: Final[dict[str, Callable[[Query, Wait], Answer]]] = {
    "cmdline": _cmdline,
    "profile": _cpu,
    "symbol": _symbol,
    "trace": _trace,
}


def _metrics() -> Answer:
    """The metrics of `gopark.metrics` in the form that Prometheus reads."""
    prometheus: Any = importlib.import_module("gopark.metrics._prometheus")
    try:
        kind, text = prometheus.exposition()
    except ImportError:
        raise Refused(
            501,
            "metrics are written with prometheus-client, which is not installed: "
            "pip install 'gopark[metrics]'",
        ) from None
    return Answer(text, kind)
