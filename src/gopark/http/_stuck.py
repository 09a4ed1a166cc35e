"""Says so when a task blocks the one event loop that an application has.

Once a second, while there are connections, it is looked twice within MARGIN where the loop is. A
task that is in the same step at both has held up all others: the place in the program is named,
once each.

Locks: none. Source: none; asyncio's debug mode (slow_callback_duration) for the idea.
Tests: tests/http/test_stuck.py
"""

from __future__ import annotations

import logging
import os
import sys
import sysconfig
from typing import Final

from gopark._runtime.base.printstring import oneline
from gopark._runtime.sched.startm import mysched
from gopark._runtime.time.timesleep import sleep
from gopark.asyncio._loop import Loop
from gopark.http._loops import where

__all__ = ("Stuck",)

MARGIN: Final = 0.05  # seconds
_MOST: Final = 20  # places that are named
_log: Final = logging.getLogger("gopark.http")
_OURS: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PYTHON: Final = sysconfig.get_path("stdlib") + os.sep
_INSTALLED: Final = f"{os.sep}site-packages{os.sep}"


class Stuck:
    """Looks after the program's loop for one server."""

    def __init__(self) -> None:
        self._named: set[str] = set()

    async def look(self) -> None:
        """Once."""
        host = mysched().host
        if host is None or len(self._named) >= _MOST:
            return
        before = where(host)
        if before[1] is None:
            return
        await sleep(MARGIN)
        if where(host) != before:
            return
        place = _place(getattr(host, "_thread_id", None))
        if not place or where(host) != before or place in self._named:
            return
        self._named.add(place)
        _log.warning(
            "%s has held up the event loop for more than %g ms, and what else runs there waits; "
            "--loops auto (loops='auto') lets other requests go on meanwhile",
            place,
            MARGIN * 1e3,
        )


def _place(ident: int | None) -> str:
    """Where that thread is in the step: in the program if it can be, else in a library; "": in
    Python itself, or here.
    """
    library = ""
    frame = sys._current_frames().get(ident or 0)
    while frame is not None and frame.f_code is not Loop._step.__code__:
        code = frame.f_code
        name = code.co_filename
        installed = _INSTALLED in name
        ours = name.startswith((_OURS, "<")) or (name.startswith(_PYTHON) and not installed)
        if not ours:
            place = oneline(f"{code.co_qualname} ({name}:{frame.f_lineno})")
            if not installed:
                return place
            library = library or place
        frame = frame.f_back
    return library
