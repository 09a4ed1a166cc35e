"""Closes: what is closed at the end of a `with`, in both kinds of goroutine.

Source: none; a `defer` in Go. Tests: tests/net/test_tcp.py
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

__all__ = ("Closes",)


class Closes:
    """What has a `close`: connections, listeners, pipes."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()
