"""What an application is, and where it runs: as WSGI, as ASGI in the connection's goroutine (bare),
or as ASGI in a task of the program's asyncio loop.

Bare is right for who needs nothing of asyncio, and wrong for all others: code that was written for
an event loop relies on nothing running between two of its awaits. So, unless told otherwise, an
application runs bare exactly if nothing has imported asyncio, or what is built on it; else each of
its requests is a task. What is wrong then fails with an error, and not by a race: a bare one that
asks for the running loop finds none, a task that awaits a channel is told so by asyncio.

Source: none. Tests: tests/http/test_kinds.py
"""

from __future__ import annotations

import inspect
import sys
from typing import Any, Final

from gopark._runtime.base.printstring import shown

__all__ = ("INTERFACES", "LOOPS", "hint", "interfaceof", "loopof")

INTERFACES: Final = ("auto", "asgi", "wsgi")
LOOPS: Final = ("auto", "bare", "asyncio")
_OFLOOPS: Final = ("asyncio", "anyio", "sniffio", "uvloop", "trio")


def interfaceof(app: Any, wanted: str) -> str:
    """`asgi` or `wsgi`.

    Raises:
        TypeError: it is neither.
        ValueError: there is no such interface.
    """
    if wanted not in INTERFACES:
        raise ValueError(f"interface is one of {', '.join(INTERFACES)}, got {shown(wanted)}")
    if isinstance(app, str):
        raise TypeError(
            f"Server() needs the application itself, got {shown(app)}, which is a name: import it, "
            f"take what gopark.http.load({shown(app)}) gives, or run `gopark serve`"
        )
    if not callable(app):
        raise TypeError(f"no application: {shown(app)} cannot be called")
    if wanted != "auto":
        return wanted
    if inspect.isclass(app):
        raise TypeError(
            f"{shown(app)} is a class: give an object of it, or, if calling it makes the "
            "application, say that it is a factory (--factory)"
        )
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__):
        return "asgi"
    try:
        signature = inspect.signature(app)
    except (TypeError, ValueError):
        return "wsgi"
    for interface, count in (("wsgi", 2), ("asgi", 3)):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return interface
    raise TypeError(
        f"{shown(app)} takes neither (scope, receive, send), as ASGI has it, nor (environ, "
        "start_response), as WSGI"
    )


def loopof(interface: str, wanted: str) -> str:
    """`bare` or `asyncio`.

    Raises:
        ValueError: there is no such kind, or a WSGI application shall be a task.
    """
    if wanted not in LOOPS:
        raise ValueError(f"loop is one of {', '.join(LOOPS)}, got {shown(wanted)}")
    if interface == "wsgi":
        if wanted == "asyncio":
            raise ValueError("a WSGI application has no use for a loop: leave loop to auto")
        return "bare"
    if wanted != "auto":
        return wanted
    return "asyncio" if any(name in sys.modules for name in _OFLOOPS) else "bare"


def hint(loop: str, exc: BaseException) -> str:
    """What to do about it, if the application runs in the wrong place."""
    text = str(exc)
    if loop == "bare" and (
        "no running event loop" in text
        or "no current event loop" in text
        or type(exc).__name__ in ("AsyncLibraryNotFoundError", "NoEventLoopError")
        or "of asyncio" in text
    ):
        return "; it needs asyncio: serve it with loop='asyncio' (--loop asyncio)"
    if loop == "asyncio" and ("different event loop" in text or "different loop" in text):
        return (
            "; it shares what is bound to one event loop, a lock, a pool of connections: serve it "
            "with loops=1 (--loops 1), or have one for each loop"
        )
    if loop == "asyncio" and type(exc).__name__ == "NotOnGError":
        return (
            "; it awaits what a goroutine would: in a task write gopark.asyncio.wait(...), or "
            "serve it with loop='bare' (--loop bare)"
        )
    return ""
