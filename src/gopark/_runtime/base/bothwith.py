"""BothWith: `async with` for what is entered and left without a wait, as `with` is.

Source: none; a `defer` in Go. Tests: tests/runtime/test_timeout.py, tests/context/test_shield.py
"""

from __future__ import annotations

from abc import abstractmethod
from types import TracebackType
from typing import Generic, TypeVar

__all__ = ("BothWith",)

T = TypeVar("T", covariant=True)


class BothWith(Generic[T]):
    """What has `__enter__` and `__exit__`."""

    __slots__ = ()

    @abstractmethod
    def __enter__(self) -> T: ...

    @abstractmethod
    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def __aenter__(self) -> T:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, exc, traceback)
