"""Scopes against models: what a tree of them does in virtual time, and what waits in them lose."""

from __future__ import annotations

from collections import deque

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import gopark
from gopark import Chan, ScopeEnded, context
from gopark._runtime.scope.scope import end
from gopark.sync import Mutex, semaphore
from gopark.testing import synctest, wait_all_parked

SLOW = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))

# --- a tree of scopes, in virtual time ----------------------------------------------------

# A statement: ("sleep", d), ("timeout", d, body), ("shield", body), ("catch", body)
SLEEP = st.tuples(st.just("sleep"), st.integers(1, 40))
TIME = st.sampled_from([0, 0, 5, 10, 20, 30, 60, 1000])


def bodies(depth):
    """Lists of statements that are nested that deep, most of them."""
    if not depth:
        return st.lists(SLEEP, min_size=1, max_size=3)
    inner = bodies(depth - 1)
    compound = st.one_of(
        st.tuples(st.just("timeout"), TIME, inner),
        st.tuples(st.just("timeout"), TIME, inner),
        st.tuples(st.just("shield"), inner),
        st.tuples(st.just("catch"), inner),
    )
    return st.lists(st.one_of(compound, compound, SLEEP), min_size=1, max_size=3)


BODY = bodies(4)


class Ended(Exception):
    """In the model: a wait was ended by the scope of this number."""

    def __init__(self, scope):
        self.scope = scope


class Model:
    """What is to happen: by which scope each wait is ended, and when."""

    def __init__(self):
        self.now = 0.0
        self.n = 0
        self.open = []  # (number, deadline), from the outside in; None: a shield
        self.trace = []

    def body(self, statements):
        for statement in statements:
            getattr(self, statement[0])(*statement[1:])

    def sleep(self, d):
        self.n += 1
        d = 97 * d + self.n  # no two things of one moment, most of the time
        inside = self.open
        if None in inside:
            inside = inside[len(inside) - inside[::-1].index(None) :]
        over = [one for one in inside if one[1] <= self.now]
        if not over:
            first = min((when for _, when in inside), default=float("inf"))
            assume(first != self.now + d)
            if first > self.now + d:
                self.now += d
                self.trace.append(("slept", self.now))
                return
            self.now = first
            over = [one for one in inside if one[1] <= self.now]
        self.trace.append(("ended", over[0][0], self.now))
        raise Ended(over[0][0])

    def timeout(self, d, body):
        self.n += 1
        me = self.n
        d = 97 * d + me if d else 0
        self.open.append((me, self.now + d))
        try:
            self.body(body)
        except Ended as exc:
            if exc.scope != me:
                raise
            self.trace.append(("timeout", me, self.now))
        finally:
            self.open.pop()

    def shield(self, body):
        self.open.append(None)
        try:
            self.body(body)
        finally:
            self.open.pop()

    def catch(self, body):
        try:
            self.body(body)
        except Ended as exc:
            self.trace.append(("caught", exc.scope))


class Program:
    """The same with gopark."""

    def __init__(self):
        self.n = 0
        self.number = {}
        self.began = gopark.time.monotonic()
        self.trace = []

    @property
    def now(self):
        return gopark.time.monotonic() - self.began

    async def body(self, statements):
        for statement in statements:
            await getattr(self, statement[0])(*statement[1:])

    async def sleep(self, d):
        self.n += 1
        try:
            await gopark.time.sleep(97 * d + self.n)
        except ScopeEnded as exc:
            self.trace.append(("ended", self.number[exc.scope], self.now))
            raise
        self.trace.append(("slept", self.now))

    async def timeout(self, d, body):
        self.n += 1
        me = self.n
        scope = gopark.timeout(97 * d + me if d else 0)
        self.number[scope] = me
        try:
            with scope:
                await self.body(body)
        except TimeoutError as exc:
            if exc.__cause__.scope is not scope:
                raise
            self.trace.append(("timeout", me, self.now))

    async def shield(self, body):
        with context.shield():
            await self.body(body)

    async def catch(self, body):
        try:
            await self.body(body)
        except ScopeEnded as exc:
            self.trace.append(("caught", self.number[exc.scope]))


@SLOW
@given(BODY)
def test_a_tree_of_scopes_does_what_the_model_says(statements):
    model = Model()
    model.body(statements)

    async def bubble():
        program = Program()
        await program.body(statements)
        await gopark.time.sleep(100_000)  # outside, nothing is ended
        return program.trace

    assert synctest.test(bubble) == model.trace


# --- who waits, and what is lost ----------------------------------------------------

ACTORS = 4
STEP = st.tuples(st.sampled_from(["send", "recv", "end", "end"]), st.integers(0, ACTORS - 1))


class Actor:
    """Does what it is told, in a scope that the test can end."""

    def __init__(self):
        self.orders = Chan(1)
        self.scope = None
        self.said = None  # what came of the last order; None while it waits

    async def run(self):
        async for fn, args in self.orders:
            self.said = None
            try:
                with gopark.timeout(None) as self.scope:
                    self.said = ("done", await fn(*args))
            except TimeoutError:
                self.said = ("ended",)


async def actors():
    found = [Actor() for _ in range(ACTORS)]
    for actor in found:
        gopark.go(actor.run)
    return found


async def tell(actor, fn, *args):
    await actor.orders.send((fn, args))
    await wait_all_parked()


@SLOW
@given(st.integers(0, 2), st.lists(STEP, max_size=40))
def test_a_channel_loses_and_doubles_nothing(capacity, steps):
    async def main():
        ch = Chan(capacity)
        found = await actors()
        buffer, senders, receivers = deque(), deque(), deque()  # the model
        values = iter(range(1000))
        waiting = {}

        for what, i in steps:
            actor = found[i]
            if what == "end":
                if i not in waiting:
                    continue
                end(actor.scope)
                await wait_all_parked()
                assert actor.said == ("ended",)
                queue = waiting.pop(i)
                queue.remove(next(one for one in queue if one[0] == i))
                continue
            if i in waiting:
                continue
            if what == "send":
                value = next(values)
                await tell(actor, ch.send, value)
                if receivers:
                    j, _ = receivers.popleft()
                    waiting.pop(j)
                    assert found[j].said == ("done", value)
                elif len(buffer) < capacity:
                    buffer.append(value)
                else:
                    senders.append((i, value))
                    waiting[i] = senders
                    assert actor.said is None
                    continue
                assert actor.said == ("done", None)
            else:
                await tell(actor, ch.recv)
                if not buffer and not senders:
                    receivers.append((i, None))
                    waiting[i] = receivers
                    assert actor.said is None
                    continue
                if senders:
                    j, value = senders.popleft()
                    waiting.pop(j)
                    buffer.append(value)
                    assert found[j].said == ("done", None)
                assert actor.said == ("done", buffer.popleft())
        for i in waiting:
            end(found[i].scope)
        for actor in found:
            actor.orders.close()
        await wait_all_parked()
        assert [ch.try_recv()[0] for _ in buffer] == list(buffer)
        assert ch.try_recv() == (None, False, False)

    gopark.run(main)


@SLOW
@given(
    st.booleans(),
    st.lists(
        st.tuples(st.sampled_from(["lock", "lock", "unlock", "end"]), st.integers(0, ACTORS - 1)),
        max_size=40,
    ),
)
def test_a_lock_is_never_left_held(weighted, steps):
    async def main():
        lock = semaphore.Weighted(1) if weighted else Mutex()
        take = lock.acquire if weighted else lock.lock
        give = lock.release if weighted else lock.unlock
        found = await actors()
        holder, queue = None, deque()
        for what, i in steps:
            actor = found[i]
            if what == "lock" and i != holder and i not in queue:
                await tell(actor, take)
                if holder is None:
                    holder = i
                else:
                    queue.append(i)
                assert actor.said == (("done", None) if holder == i else None)
            elif what == "unlock" and holder is not None:
                give()
                await wait_all_parked()
                holder = None
                done = [j for j in queue if found[j].said == ("done", None)]
                assert len(done) == (1 if queue else 0)
                for j in done:
                    queue.remove(j)
                    holder = j
            elif what == "end" and i in queue:
                end(actor.scope)
                await wait_all_parked()
                assert actor.said == ("ended",)
                queue.remove(i)
        for i in queue:
            end(found[i].scope)
        for actor in found:
            actor.orders.close()
        await wait_all_parked()
        if holder is not None:
            give()
        assert lock.try_acquire() if weighted else lock.try_lock()

    gopark.run(main)
