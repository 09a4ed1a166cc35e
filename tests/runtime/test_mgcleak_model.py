"""Random programs whose leaked goroutines are known: those that the fixpoint below leaves over.

Each goroutine knows some of the objects, in some way, and waits on one or two; some sleep, and
main runs. Nobody ever acts, so who is leaked depends on who knows what alone.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

import gopark
from gopark.sync import Cond, Mutex, RWMutex, WaitGroup

_OBJECTS = 6
_objects = st.integers(0, _OBJECTS - 1)


class Holder:
    def __init__(self, *held: Any) -> None:
        self.held = held

    def method(self) -> None: ...


class Slots:
    __slots__ = ("held",)

    def __init__(self, *held: Any) -> None:
        self.held = held


def _closure(*held: Any) -> Any:
    return lambda: held


async def _suspended(*held: Any) -> None:
    await gopark.gosched()


def _generator(*held: Any) -> Any:
    def values() -> Any:
        yield held

    made = values()
    next(made)
    return made


# Ways to hold objects.
WAYS: list[Callable[..., Any]] = [
    lambda *held: held,
    lambda *held: [*held],
    lambda *held: {"key": held},
    lambda *held: deque([[held]]),
    lambda *held: frozenset(held),
    Holder,
    Slots,
    lambda *held: Holder(*held).method,
    lambda *held: functools.partial(print, *held),
    _closure,
    _generator,
    lambda *held: iter(held),
    lambda *held: [getattr(obj, "unlock", None) or getattr(obj, "close", obj) for obj in held],
]

KINDS = ("recv", "send", "select", "mutex", "write", "group", "cond", "sleep")


class Goroutine(NamedTuple):
    kind: str
    waits: tuple[int, int]
    knows: frozenset[int]
    way: int


goroutines = st.lists(
    st.builds(
        Goroutine,
        st.sampled_from(KINDS),
        st.tuples(_objects, _objects),
        st.frozensets(_objects, max_size=3),
        st.integers(0, len(WAYS) - 1),
    ),
    min_size=1,
    max_size=8,
)


class World:
    """Six of each kind, number `i` of all of them known together."""

    def __init__(self) -> None:
        self.empty = [gopark.Chan[Any]() for _ in range(_OBJECTS)]  # to receive from
        self.full = [gopark.Chan[Any]() for _ in range(_OBJECTS)]  # to send to
        self.mutexes = [Mutex() for _ in range(_OBJECTS)]
        self.rwmutexes = [RWMutex() for _ in range(_OBJECTS)]
        self.groups = [WaitGroup() for _ in range(_OBJECTS)]
        self.conds = [Cond(Mutex()) for _ in range(_OBJECTS)]

    def number(self, i: int) -> list[Any]:
        kinds = (self.empty, self.full, self.mutexes, self.rwmutexes, self.groups, self.conds)
        return [kind[i] for kind in kinds]


async def _wait(kind: str, one: list[Any], two: list[Any], known: Any) -> None:
    empty, full, mutex, rwmutex, group, cond = one
    if kind == "sleep":
        await gopark.time.sleep(3600)
    elif kind == "recv":
        await empty.recv_ok()
    elif kind == "send":
        await full.send(known)
    elif kind == "select":
        await gopark.select(gopark.recv(empty), gopark.send(two[1], known))
    elif kind == "mutex":
        async with mutex:
            pass
    elif kind == "write":
        await rwmutex.lock()
    elif kind == "group":
        await group.wait()
    else:
        await cond.locker.lock()
        await cond.wait()


def expected(program: list[Goroutine], main: frozenset[int]) -> list[int]:
    """The indices of those that leak."""
    reached = set(main)
    awake: set[int] = set()
    while True:
        before = len(awake)
        for n, g in enumerate(program):
            waits = set(g.waits) if g.kind == "select" else {g.waits[0]}
            if g.kind == "sleep" or waits & reached:
                awake.add(n)
                reached |= g.knows | set(g.waits)
        if len(awake) == before:
            return [n for n in range(len(program)) if n not in awake]


async def _start(program: list[Goroutine], main: frozenset[int]) -> list[Any]:
    world = World()
    for i in range(_OBJECTS):  # so that everybody waits, and for as long as nobody acts
        assert world.mutexes[i].try_lock()
        assert world.rwmutexes[i].try_lock()
        world.groups[i].add(1)
    for g in program:
        known = WAYS[g.way](*(obj for i in g.knows for obj in world.number(i)))
        gopark.go(_wait, g.kind, world.number(g.waits[0]), world.number(g.waits[1]), known)
    return [world.number(i) for i in main]


@settings(max_examples=50, deadline=None)
@given(goroutines, st.frozensets(_objects, max_size=2))
def test_leaked_is_who_nobody_can_reach(program: list[Goroutine], main: frozenset[int]) -> None:
    async def run() -> None:
        kept = await _start(program, main)
        await gopark.testing.wait_all_parked()
        before = min((g.goid for g in gopark._runtime.base.runtime2.allgs if g.goid > 1), default=0)
        leaked = [leak.goid - before for leak in gopark.debug.leaks()]
        assert leaked == expected(program, main)
        kept.clear()
        leaked = [leak.goid - before for leak in gopark.debug.leaks()]
        assert leaked == expected(program, frozenset())

    gopark.run(run)
