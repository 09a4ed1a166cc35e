"""The errors of work queues, each with whose fault it is.

    the caller's     Mismatch, TooBig, NotEncodable
    the outside's    Unavailable
    a worker's       RemoteError, Lost

Source: none. Tests: tests/workqueue/test_queue.py, test_group.py
"""

from __future__ import annotations

__all__ = ("Lost", "Mismatch", "NotEncodable", "RemoteError", "TooBig", "Unavailable")


class Mismatch(ValueError):
    """The queue is there with other settings than those that were asked for; it says which."""


class TooBig(ValueError):
    """The value, encoded, is larger than the queue takes. It was not sent."""


class NotEncodable(ValueError):
    """The codec of the queue cannot write the value. It was not sent."""


class Unavailable(ConnectionError):
    """Whoever keeps the queue cannot be reached, or refuses it; it says who and why."""


class Lost(RuntimeError):
    """A task of a Group has no result: all its tries have ended without one, or it was dropped."""


class RemoteError(RuntimeError):
    """A task of a Group has raised, in a worker.

    Attributes:
        kind: The class of the exception, as `module.name`.
        text: What it says.
        traceback: That of the worker, as text.
    """

    def __init__(self, kind: str, text: str, traceback: str = "") -> None:
        super().__init__(f"{kind}: {text}" if text else kind)
        self.kind = kind
        self.text = text
        self.traceback = traceback
        if traceback:
            self.add_note("In the worker:\n" + traceback.rstrip("\n"))

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.kind, self.text, self.traceback)
