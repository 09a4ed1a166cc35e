"""Locks held against a sequential model, on programs that hypothesis invents.

One operation starts at a time, in a goroutine of its own, and the next only when all are
parked. So the model knows who holds what and who waits in which order. Some waiters are
interrupted, as by Ctrl-C: they leave, and what they held up goes on.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gopark
from gopark._runtime.base.runtime2 import G, getg
from gopark._runtime.signal.preempt import wakewith
from gopark.sync import Cond, Mutex, RWMutex, WaitGroup
from gopark.testing import wait_all_parked

PROGRAM = settings(
    max_examples=80,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
IN, OUT = "has it", "interrupted"


class Model:
    """Who waits, in the order of arrival, and what has come of each operation."""

    def __init__(self) -> None:
        self.waiting: list[int] = []
        self.results: dict[int, Any] = {}

    def interrupt(self, nth: int) -> int | None:
        """The nth waiter leaves, if there is one."""
        if not self.waiting:
            return None
        op = self.waiting.pop(nth % len(self.waiting))
        self.results[op] = OUT
        return op


class MutexModel(Model):
    """The first waiter is next, for all have gone to sleep before anything happens."""

    def __init__(self) -> None:
        super().__init__()
        self.locked = False

    def lock(self, op: int) -> None:
        if self.locked:
            self.waiting.append(op)
        else:
            self.locked = True
            self.results[op] = IN

    def try_lock(self, op: int) -> None:
        self.results[op] = not self.locked
        self.locked = True

    def unlock(self, op: int) -> bool:
        if not self.locked:
            return False
        self.results[op] = "done"
        if self.waiting:
            self.results[self.waiting.pop(0)] = IN
        else:
            self.locked = False
        return True


class RWMutexModel(Model):
    """One writer at a time is announced; readers who come after that wait until it has left."""

    def __init__(self) -> None:
        super().__init__()
        self.readers = 0
        self.writers: list[int] = []  # the first one is announced
        self.inside = False  # and has the lock
        self.waitreaders: list[int] = []

    def _announce(self) -> None:
        self.inside = bool(self.writers) and not self.readers
        if self.inside and self.writers[0] is not None:
            self._got(self.writers[0])

    def _got(self, op: int) -> None:
        if op in self.waiting:
            self.waiting.remove(op)
        self.results[op] = IN

    def lock(self, op: int) -> None:
        self.writers.append(op)
        self.waiting.append(op)
        if len(self.writers) == 1:
            self._announce()

    def rlock(self, op: int) -> None:
        if self.writers:
            self.waitreaders.append(op)
            self.waiting.append(op)
        else:
            self.readers += 1
            self.results[op] = IN

    def try_lock(self, op: int) -> None:
        free = not self.writers and not self.readers
        self.results[op] = free
        if free:
            self.writers.append(op)
            self.inside = True

    def try_rlock(self, op: int) -> None:
        free = not self.writers
        self.results[op] = free
        self.readers += free

    def _leave(self) -> None:
        """The announced writer is gone."""
        self.writers.pop(0)
        self.inside = False
        self.readers += len(self.waitreaders)
        for op in self.waitreaders:
            self._got(op)
        self.waitreaders.clear()
        self._announce()

    def unlock(self, op: int) -> bool:
        if not self.inside:
            return False
        self.results[op] = "done"
        self._leave()
        return True

    def runlock(self, op: int) -> bool:
        if not self.readers:
            return False
        self.results[op] = "done"
        self.readers -= 1
        if not self.readers and self.writers:
            self._announce()
        return True

    def interrupt(self, nth: int) -> int | None:
        op = super().interrupt(nth)
        if op in self.waitreaders:
            self.waitreaders.remove(op)
        elif op is not None and op == self.writers[0]:
            self._leave()
        elif op is not None:
            self.writers.remove(op)
        return op


class WaitGroupModel(Model):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def add(self, op: int, delta: int) -> None:
        if self.count + delta < 0:
            self.results[op] = "sync: negative WaitGroup counter"
            return
        self.count += delta
        self.results[op] = "done"
        if not self.count:
            for waiter in self.waiting:
                self.results[waiter] = IN
            self.waiting.clear()

    def wait(self, op: int) -> None:
        if self.count:
            self.waiting.append(op)
        else:
            self.results[op] = IN


class CondModel(Model):
    """The mutex is free whenever nothing moves, so who is woken gets it."""

    def wait(self, op: int) -> None:
        self.waiting.append(op)

    def signal(self, op: int) -> None:
        self.results[op] = "done"
        if self.waiting:
            self.results[self.waiting.pop(0)] = IN

    def broadcast(self, op: int) -> None:
        self.results[op] = "done"
        for waiter in self.waiting:
            self.results[waiter] = IN
        self.waiting.clear()


async def perform(
    op: int, real: Any, name: str, args: list[Any], results: dict[int, Any], gs: dict[int, G]
) -> None:
    """The same operation for real."""
    g = getg()
    assert g is not None
    gs[op] = g
    try:
        if name in ("lock", "rlock"):
            await getattr(real, name)()
            results[op] = IN
        elif name == "wait" and isinstance(real, Cond):
            async with real.locker:
                await real.wait()
            results[op] = IN
        elif name == "wait":
            await real.wait()
            results[op] = IN
        else:
            result = getattr(real, name)(*args)
            results[op] = "done" if result is None else result
    except KeyboardInterrupt:
        results[op] = OUT
    except RuntimeError as error:
        results[op] = str(error)


async def compare(model: Model, real: Any, program: list[Any]) -> None:
    results: dict[int, Any] = {}
    gs: dict[int, G] = {}
    for op, (name, *args) in enumerate(program):
        if name == "interrupt":
            victim = model.interrupt(*args)
            if victim is not None:
                wakewith(gs[victim], KeyboardInterrupt())
        elif getattr(model, name)(op, *args) is False:
            continue  # it would be fatal
        elif op % 3 == 2:  # every third in a plain goroutine
            call = perform(op, real, name, args, results, gs)
            gopark.go(lambda call=call: gopark.block(call))
        else:
            gopark.go(perform, op, real, name, args, results, gs)
        await wait_all_parked()
        assert results == model.results, program[: op + 1]
        assert gopark.runtime.num_goroutine() - 1 == len(model.waiting)
    if isinstance(real, Cond):
        assert real.locker.try_lock()


interrupt = st.tuples(st.just("interrupt"), st.integers(0, 5))


def of(*names: str) -> Any:
    return st.tuples(st.sampled_from(names))


KINDS = {
    "mutex": (MutexModel, Mutex, of("lock", "lock", "unlock", "unlock", "try_lock")),
    "rwmutex": (
        RWMutexModel,
        RWMutex,
        of("lock", "rlock", "rlock", "unlock", "runlock", "runlock", "try_lock", "try_rlock"),
    ),
    "waitgroup": (
        WaitGroupModel,
        WaitGroup,
        of("wait") | st.tuples(st.just("add"), st.integers(-2, 2)),
    ),
    "cond": (CondModel, lambda: Cond(Mutex()), of("wait", "wait", "signal", "broadcast")),
    "cond of a reader": (
        CondModel,
        lambda: Cond(RWMutex().reader()),
        of("wait", "wait", "signal", "broadcast"),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("procs", [1, 3])
@PROGRAM
@given(data=st.data())
def test_it_agrees_with_a_sequential_model(kind, procs, data):
    model, real, operation = KINDS[kind]
    program = data.draw(st.lists(operation | interrupt, max_size=25))
    before = gopark.runtime.gomaxprocs(procs)
    gopark.debug.strict_deadlock()
    try:
        gopark.run(compare, model(), real(), program)
    finally:
        gopark.debug.strict_deadlock(False)
        gopark.runtime.gomaxprocs(before)
