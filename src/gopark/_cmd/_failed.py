"""What a command says when it cannot do its work."""

from __future__ import annotations

__all__ = ("Failed",)


class Failed(Exception):
    """One line for the user: what is wrong, and what to do about it."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
