"""Async fixtures: set up and taken down inside the program of the test that uses them.

A test is a program of its own, and so are the goroutines that a fixture starts: they must be of the
same one. So when pytest sets such a fixture up it gets a `Pending` in the place of a value, and
the test's main goroutine makes values of those before it calls the test:

  1. pytest, before the program: `pending` has the function, and what it is called with
  2. main: `Fixtures.values`: each is awaited, those it uses first; up to the `yield`, if it has one
  3. main: the test
  4. main: `Fixtures.close`: what comes after the `yield`, the last one first, however it ended

Locks: none; all of it is done by main. Tests: tests/testing/test_plugin.py
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

import pytest

from gopark._runtime.report.traceback import calling

__all__ = ("Fixtures", "isasyncfixture", "pending", "refused")


_ERRORS: Final = (Exception, pytest.fail.Exception, pytest.skip.Exception)


class Pending:
    """A fixture that waits for the program of its test."""

    def __init__(self, name: str, fn: Callable[..., Any], kwargs: dict[str, Any]) -> None:
        self.name = name
        self.fn = fn
        self.kwargs = kwargs

    def __repr__(self) -> str:
        return f"<async fixture {self.name!r}: it gets its value in the program of the test>"


def isasyncfixture(fn: Any) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)


def pending(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Any:
    """A stand-in for the function of an async fixture, which makes a `Pending`."""
    fn: Any = fixturedef.func
    name = fixturedef.argname
    if fixturedef.scope != "function":
        pytest.fail(
            f"the async fixture {name!r} has scope {fixturedef.scope!r}; each test of gopark is a "
            "program of its own, so its async fixtures have scope 'function'",
            pytrace=False,
        )
    if request.instance is not None and inspect.ismethod(fn):
        fn = fn.__func__.__get__(request.instance)
    return lambda **kwargs: Pending(name, fn, kwargs)


def refused(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
    """A plain fixture is done before the program begins, and cannot use what waits for that."""
    for name in fixturedef.argnames:
        if isinstance(request.getfixturevalue(name), Pending):
            pytest.fail(
                f"the fixture {fixturedef.argname!r} is a plain function, and {name!r}, which it "
                "uses, an async one that gets its value in the program of the test; make it "
                "`async def` too",
                pytrace=False,
            )


class Fixtures:
    """Those of one test, in one run of it."""

    def __init__(self) -> None:
        self._values: dict[int, Any] = {}  # by the identity of the `Pending`
        self._open: list[tuple[str, Any]] = []  # async generators that have yielded

    async def values(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments, with values in the place of what is pending."""
        values = {}
        for name, value in kwargs.items():  # up to 3.11 a comprehension has a frame of its own
            values[name] = await self._value(value)
        return values

    async def _value(self, value: Any) -> Any:
        if not isinstance(value, Pending):
            return value
        if id(value) not in self._values:
            made: Any = value.fn(**await self.values(value.kwargs))
            if inspect.isasyncgen(made):
                self._open.append((value.name, made))
                made = anext(made)
            self._values[id(value)] = await made
        return self._values[id(value)]

    async def close(self) -> None:
        """Take them down, all of them, and raise what went wrong."""
        errors: list[BaseException] = []
        while self._open:
            name, agen = self._open.pop()
            try:
                await anext(agen)
                await agen.aclose()
                raise RuntimeError(f"the async fixture {name!r} has yielded twice")
            except StopAsyncIteration:
                continue
            except _ERRORS as exc:
                errors.append(exc)
        if len(errors) > 1:  # as pytest does with those of plain fixtures
            raise BaseExceptionGroup("errors while async fixtures were taken down", errors)
        if errors:
            raise errors[0]


# What these call may wait; a Ctrl-C comes in the test itself.
calling.update(one.__code__ for one in (Fixtures.values, Fixtures._value, Fixtures.close))
