"""What a wait costs that yields once to the scheduler, by the way the yield is written.

    python -m benchmarks.micro_park

Awaitables that hand one command to whoever drives the coroutine:
  list subclass    `__await__ = list.__reversed__`: method and iterator are both C
  tuple subclass   `__await__ = tuple.__iter__`: the same by a slot wrapper, which is called
                   in a slower way than a method of C
  Python method    `__await__` is a Python function that returns `iter(self.once)`
  generator        a `types.coroutine` generator function, called for each wait
And a primitive, as a user awaits it:
  primitive awaits an `async def` that awaits the list subclass
  primitive yields the same made by `suspend.suspends`: a coroutine that yields itself
Time: one wait, from the step that parks the coroutine to the step that resumes it, the
medians of interleaved rounds. Bytes: growth of traced memory per coroutine that is parked,
the coroutine itself included.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any

from benchmarks.measure import machine
from gopark._runtime.base.suspend import suspends

_COMMAND = object()
_ROUNDS = 9
_WAITS = 100_000
_PARKED = 10_000


class _ListPoint(list[object]):
    __slots__ = ()
    __await__ = list.__reversed__


class _TuplePoint(tuple[object]):
    __slots__ = ()
    __await__ = tuple.__iter__


class _MethodPoint:
    __slots__ = ("once",)

    def __init__(self) -> None:
        self.once = (_COMMAND,)

    def __await__(self) -> Iterator[object]:
        return iter(self.once)


@types.coroutine
def _generator_point() -> Generator[object, None, None]:
    yield _COMMAND


_list_point: Any = _ListPoint([_COMMAND])
_tuple_point: Any = _TuplePoint((_COMMAND,))
_method_point: Any = _MethodPoint()


async def _by_list(n: int) -> None:
    for _ in range(n):
        await _list_point


async def _by_tuple(n: int) -> None:
    for _ in range(n):
        await _tuple_point


async def _by_method(n: int) -> None:
    for _ in range(n):
        await _method_point


async def _by_generator(n: int) -> None:
    for _ in range(n):
        await _generator_point()


async def _awaiting() -> None:
    await _list_point


@suspends
def _yielding() -> Generator[Any, None, None]:
    _ = None is (None is (yield _COMMAND))


async def _by_awaiting(n: int) -> None:
    for _ in range(n):
        await _awaiting()


async def _by_yielding(n: int) -> None:
    for _ in range(n):
        await _yielding()


Ways = dict[str, Callable[[int], Coroutine[Any, Any, None]]]

WAYS: Ways = {
    "list subclass": _by_list,
    "tuple subclass": _by_tuple,
    "Python method": _by_method,
    "generator": _by_generator,
    "primitive awaits": _by_awaiting,
    "primitive yields": _by_yielding,
}


def nanoseconds(way: Callable[[int], Coroutine[Any, Any, None]], n: int) -> float:
    """Time of one wait."""
    steps = way(n).__await__()
    start = time.perf_counter()
    for _ in steps:
        pass
    return (time.perf_counter() - start) / n * 1e9


def parked_bytes(way: Callable[[int], Coroutine[Any, Any, None]], n: int) -> float:
    """Memory of one coroutine that waits."""
    parked: list[Awaitable[None] | None] = [None] * n
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for i in range(n):
        coro = way(1)
        coro.send(None)
        parked[i] = coro
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    for each in parked:
        each.close()  # type: ignore[union-attr]
    return grown / n


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(_ROUNDS):
        for name, way in WAYS.items():
            times[name].append(nanoseconds(way, _WAITS))
    print(machine())
    print(f"{'':18}{'ns per wait':>12}{'bytes parked':>14}")
    for name, way in WAYS.items():
        size = parked_bytes(way, _PARKED)
        print(f"{name:18}{statistics.median(times[name]):12.0f}{size:14.0f}")


if __name__ == "__main__":
    main()
