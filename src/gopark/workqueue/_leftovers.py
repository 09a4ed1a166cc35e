"""Results of groups whose owner was killed: whoever makes a Group next on that queue removes them.

A Group has a queue of its own for results, and removes it at its end. If its process dies before,
that queue is nobody's. It is left over if its name is that of a group of the same queue, nobody
waits for its values, and nothing has happened in it for QUIET seconds: an owner who is alive always
waits, but for a moment in which the server, or the keeper, is another.

Source: none. Tests: tests/workqueue/test_group.py
"""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gopark.workqueue._localfiles import Place, names
from gopark.workqueue._natswire import NatsWire

__all__ = ("QUIET", "clear_local", "clear_nats", "results_name")

QUIET: Final = 600.0  # seconds

_CONSUMER: Final = "workers"


def results_name(queue: str, token: str) -> str:
    """Of the queue that a group on `queue` has for its results."""
    return f"{queue[:40]}-re-{token}"


def _those_of(queue: str) -> re.Pattern[str]:
    return re.compile(re.escape(results_name(queue, "")) + "[0-9a-f]{16}")


def clear_local(place: Place, queue: str, quiet: float) -> None:
    """In a directory: those that nobody keeps."""
    folder = os.path.dirname(place.log)
    those = _those_of(queue)
    for name in names(folder):
        if those.fullmatch(name) is None:
            continue
        there = Place(place.url, folder, name)
        try:
            if os.path.getmtime(there.log) > time.time() - quiet:
                continue
            fd = there.lock()
            if fd is None:
                continue
            try:
                there.remove()
            finally:
                os.close(fd)
        except OSError:
            continue  # another was first


async def clear_nats(wire: NatsWire, streams: set[str], queue: str, quiet: float) -> None:
    """At a server, of whose streams these are the names."""
    those = _those_of(queue)
    for stream in streams:
        if those.fullmatch(stream.removeprefix("GOPARK_")) and await _left(wire, stream, quiet):
            for name in (stream, stream + "_DEAD"):
                await wire.api(f"STREAM.DELETE.{name}")


async def _left(wire: NatsWire, stream: str, quiet: float) -> bool:
    info = await wire.api(f"STREAM.INFO.{stream}")
    consumer = await wire.api(f"CONSUMER.INFO.{stream}.{_CONSUMER}")
    if "error" in info or consumer.get("num_waiting"):
        return False
    times = [info["created"], info["state"]["last_ts"]]
    times += [consumer.get(what, {}).get("last_active") for what in ("delivered", "ack_floor")]
    last = max(_time(one) for one in times if one)
    now = _time(info["ts"]) if "ts" in info else datetime.now(UTC)
    return now - last > timedelta(seconds=quiet)


def _time(text: Any) -> datetime:
    """Of a server, which counts nanoseconds."""
    return datetime.fromisoformat(text[:19] + "+00:00")
