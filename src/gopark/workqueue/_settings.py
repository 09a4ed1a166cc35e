"""Settings of a queue: what all who use it agree on.

Whoever opens it first decides. Who opens it later takes what is there, for what it does not name
itself; what it names otherwise is a Mismatch, for a lease or a limit that one side only believes in
loses or repeats work.

Source: none. Tests: tests/workqueue/test_queue.py
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Final

from gopark._runtime.base.printstring import shown
from gopark._runtime.time.timechan import seconds
from gopark._util import integer, string
from gopark.workqueue._errors import Mismatch

__all__ = ("MAX_TRIES", "WINDOW", "Settings", "Wanted", "checkname", "wanted", "without_secrets")

WINDOW: Final = 120.0  # seconds in which a value with the id of another is dropped
MAX_TRIES: Final = 10_000
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Those of a queue that is there."""

    cap: int = 1024
    lease: float = 30.0
    tries: int = 5
    codec: str = "json"

    def merged(self, name: str, other: Wanted) -> Settings:
        """The same, if the other asks for nothing else.

        Raises:
            Mismatch: it does.
        """
        have = asdict(self)
        differ = [
            f"{key} is {shown(have[key])} there and {shown(value)} here"
            for key, value in other.items()
            if have[key] != value
        ]
        if differ:
            raise Mismatch(
                f"queue {shown(name)} has other settings: {', '.join(differ)}. Leave them out to "
                "take those of the queue, or use another name"
            )
        return self


Wanted = dict[str, Any]


def wanted(cap: int | None, lease: float | None, tries: int | None, codec: str | None) -> Wanted:
    """What the caller of `open` has said, checked.

    Raises:
        TypeError, ValueError: it is not what a queue can have.
    """
    asked: Wanted = {}
    if cap is not None:
        integer("open", "cap", cap)
        if cap < 1:
            raise ValueError(f"open: cap must be at least 1, got {shown(cap)}")
        asked["cap"] = cap
    if lease is not None:
        lease = seconds("open", lease, "lease")
        if not 0.05 <= lease <= 86400:
            raise ValueError(
                f"open: lease must be between 0.05 seconds and a day, got {shown(lease)}"
            )
        asked["lease"] = lease
    if tries is not None:
        integer("open", "tries", tries)
        if not 1 <= tries <= MAX_TRIES:
            raise ValueError(f"open: tries must be from 1 to {MAX_TRIES:,}, got {shown(tries)}")
        asked["tries"] = tries
    if codec is not None:
        asked["codec"] = codec
    return asked


def checkname(who: str, name: object) -> None:
    """Raise unless a queue can be called that.

    Raises:
        TypeError, ValueError: it cannot.
    """
    string(who, "the name of a queue", name)
    assert isinstance(name, str)
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            f"{who}: the name of a queue is 1 to 64 letters, digits, - and _, got {shown(name)}"
        )


def without_secrets(url: str) -> str:
    """A URL as errors and logs may show it: without user, password or token."""
    return re.sub(r"//[^/?#]*@", "//...@", url)
