"""Tools for the tests of programs that use gopark."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gopark.testing import leak as leak
from gopark.testing._parked import wait_all_parked as wait_all_parked

if TYPE_CHECKING:
    from gopark.testing import synctest as synctest

__all__ = ("leak", "synctest", "wait_all_parked")

wait_all_parked.__module__ = __name__


def __getattr__(name: str) -> Any:
    """`synctest` is loaded when somebody asks for it, since that turns bubbles on."""
    if name == "synctest":
        return import_module("gopark.testing.synctest")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
