"""Timer channels against what Go promises of them, in every order of stop, reset, fire and wait.

The clock is the test's own and so far ahead of the real one that the scheduler runs no timer
by itself. A step of the script takes what is due off the heap, and a later one has it fire,
in any order: between the two lie stops, resets, receives and new waiters, as they would when
one M is about to fire a timer and others go on. After each step all goroutines are parked.

The promises, checked at each step:
  - a value is the time of the timer as it was last reset, or of the first tick since one was
    received; it is not in the future, and none is received twice; after a stop there is none
  - stop and reset say whether there would have been one
  - who looks gets nothing only if there is nothing: not yet, not any more, or others wait for it
  - the heap holds an entry for a timer exactly if somebody waits for it (W1, W2 in timechan.py)
  - in the end, when all that is due has fired, nobody waits for what has come
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gopark
from gopark import Chan, recv, select
from gopark._runtime.base.lockrank import Holding
from gopark._runtime.sched import startm
from gopark._runtime.time import timechan
from gopark.testing import wait_all_parked
from gopark.time import Ticker, Timer

AHEAD = 1e6  # seconds
real_fire = timechan.fire


@dataclass
class Spec:
    """A timer by Go's documentation."""

    timer: Timer | Ticker
    start: float
    delay: float
    period: float
    stopped: bool = False
    seen: float = 0.0  # the clock when a value was last delivered
    values: list[float] = field(default_factory=list)
    waiting: set[int] = field(default_factory=set)  # who waits for it

    def due(self, now: float) -> bool:
        """A value is there to be had that was not dropped."""
        if self.stopped:
            return False
        if not self.period:
            return not self.values and self.start + self.delay <= now
        ticks, before = ((t - self.start) // self.period for t in (now, self.seen))
        return ticks > max(before, 0)

    def running(self) -> bool:
        return not self.stopped and bool(self.period or not self.values)

    def received(self, value: float, now: float) -> None:
        assert not self.stopped, "a value after stop"
        assert value <= now, "a value of the future"
        if self.period:
            before = (max(self.seen, self.start) - self.start) // self.period
            assert value == self.start + (before + 1) * self.period, "not the next tick"
        else:
            assert value == self.start + self.delay, "a value of before the reset"
            assert not self.values, "a value twice"
        self.values.append(value)
        self.seen = now


def inheap(c: timechan.TimerChan) -> bool:
    return c._timer is not None and c._timer.pending


class Script:
    """One run of a script: the clock, the timers, who waits, and what is about to fire."""

    def __init__(self, patch: pytest.MonkeyPatch, wait_until: Callable[..., bool]) -> None:
        self.wait_until = wait_until
        self.now = float(int(monotonic() + AHEAD))  # whole seconds, so that sums are exact
        self.specs: list[Spec] = []
        self.inflight: list[timechan.TimerChan] = []
        self.stops: dict[int, Chan[None]] = {}
        self.got: list[tuple[int, int, float | None]] = []
        self.rid = 0
        self.heap = startm.getsched().timers
        patch.setattr(self.heap, "clock", lambda: self.now)
        patch.setattr(timechan, "fire", self.inflight.append)

    # --- the steps ---------------------------------------------------------------------------

    def new(self, a: int, b: int) -> None:
        if len(self.specs) == 3:
            return
        made: Timer | Ticker = Ticker(b + 1) if a % 2 else Timer(b)
        period = b + 1.0 if a % 2 else 0.0
        self.specs.append(Spec(made, self.now, period or b, period))

    def stop(self, a: int, _: int) -> None:
        spec = self.spec(a)
        running = spec.running()
        assert spec.timer.stop() is (None if spec.period else running)
        spec.stopped = True

    def reset(self, a: int, b: int) -> None:
        spec = self.spec(a)
        running = spec.running()
        if spec.period:
            spec.timer.reset(b + 1)
            spec.delay = spec.period = b + 1.0
        else:
            assert spec.timer.reset(b) is running
            spec.delay = b
        spec.start, spec.stopped, spec.seen = self.now, False, 0.0
        spec.values.clear()

    def advance(self, a: int, b: int) -> None:
        self.now += a + b / 4

    def look(self, a: int, _: int) -> None:
        spec = self.spec(a)
        value, ok, received = spec.timer.c.try_recv()
        if received:
            assert ok
            spec.received(value, self.now)
        else:
            assert spec.waiting or not spec.due(self.now), "a value was lost"

    def peek(self, a: int, _: int) -> None:
        """A select looks, and takes another case."""
        c = self.spec(a).timer.c
        with Holding(c._lock):
            c.maybeready(False)

    async def glance(self, a: int, _: int) -> None:
        """A select that looks at every timer and takes one, or none."""
        index, value, _ok = await select(*(recv(s.timer.c) for s in self.specs), default=True)
        if index >= 0:
            self.specs[index].received(value, self.now)
        else:
            assert all(s.waiting or not s.due(self.now) for s in self.specs), "a value was lost"

    def wait(self, a: int, b: int) -> None:
        """A goroutine receives; or selects over several timers, and can be called off."""
        self.rid += 1
        which = [a % len(self.specs)]
        if b % 3:
            which = sorted({a % len(self.specs), b % len(self.specs)})
            self.stops[self.rid] = Chan(1)
        for n in which:
            self.specs[n].waiting.add(self.rid)
        gopark.go(self.waiter, self.rid, which, self.stops.get(self.rid))

    async def waiter(self, rid: int, which: list[int], stop: Chan[None] | None) -> None:
        if stop is None:
            self.got.append((rid, which[0], await self.specs[which[0]].timer.c.recv()))
            return
        cases = [recv(self.specs[n].timer.c) for n in which]
        index, value, _ = await select(*cases, recv(stop))
        self.got.append((rid, which[index] if index < len(which) else -1, value))

    def calloff(self, a: int, _: int) -> None:
        """One of the selects loses interest."""
        if self.stops:
            rid = list(self.stops)[a % len(self.stops)]
            self.stops[rid].try_send(None)

    def takedue(self, _a: int, _b: int) -> None:
        """Some M has taken what is due off the heap, and is about to fire it."""
        self.heap.run(self.now)

    def fire(self, a: int, _: int) -> None:
        if self.inflight:
            real_fire(self.inflight.pop(a % len(self.inflight)))

    # --- after each step ---------------------------------------------------------------------

    def spec(self, a: int) -> Spec:
        return self.specs[a % len(self.specs)]

    async def settle(self) -> None:
        await wait_all_parked()
        for rid, n, value in self.got:
            if n >= 0:
                assert rid in self.specs[n].waiting
                assert value is not None
                self.specs[n].received(value, self.now)
            for spec in self.specs:
                spec.waiting.discard(rid)
            self.stops.pop(rid, None)
        self.got.clear()
        for spec in self.specs:
            c = spec.timer.c
            assert isinstance(c, timechan.TimerChan)
            if spec.waiting and spec.running():
                # Another M may have taken it off the heap, and be about to fire it.
                assert self.wait_until(lambda c=c: inheap(c) or c in self.inflight), "W1"
                assert not inheap(c) or c._timer.when <= c._when, "W1"
            elif not spec.waiting:
                assert not inheap(c), "W2"

    async def end(self) -> None:
        """All that is due fires; then everybody is let go."""
        for _ in range(5):
            self.heap.run(self.now)
            while self.inflight:
                real_fire(self.inflight.pop())
            await self.settle()
        for spec in self.specs:
            assert not (spec.waiting and spec.due(self.now)), "a waiter was forgotten"
        for n, spec in enumerate(self.specs):
            while spec.waiting:
                spec.timer.reset(1)
                spec.start, spec.stopped, spec.seen, spec.delay = self.now, False, 0.0, 1.0
                spec.period = 1.0 if spec.period else 0.0
                spec.values.clear()
                self.now += 1
                real_fire(self.specs[n].timer.c)
                await self.settle()
            spec.timer.stop()
        assert not self.inflight


STEPS = ("new", "stop", "reset", "advance", "advance", "look", "look", "peek", "glance", "wait",
         "wait", "calloff", "takedue", "takedue", "fire", "fire")  # fmt: skip
step = st.tuples(st.sampled_from(STEPS), st.integers(0, 3), st.integers(0, 5))


@pytest.mark.usefixtures("procs")
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(step, min_size=10, max_size=60))
def test_timers_keep_their_promises_in_every_order(wait_until, steps):
    with pytest.MonkeyPatch.context() as patch:

        async def main():
            script = Script(patch, wait_until)
            script.new(steps[0][1], steps[0][2])
            for name, a, b in steps:
                result = getattr(script, name)(a, b)
                if result is not None:
                    await result
                await script.settle()
            await script.end()

        gopark.run(main)
