"""Channels and select held against a sequential model, on programs that hypothesis invents.

One operation starts at a time, in a goroutine of its own, and the next only when all are
parked. So the model knows who waits in which order, and what each operation must give; only
where several cases of a select are ready does it ask what was chosen, and then checks that
the choice was allowed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gopark
from gopark import Chan, ClosedChannelError
from gopark.testing import wait_all_parked

CHANNELS = 3
SENT = "sent"
SEND_CLOSED = "send on closed channel"
CLOSE_CLOSED = "close of closed channel"

channel = st.integers(0, CHANNELS - 1)
maybe_none = st.one_of(channel, channel, channel, st.none())
case = st.tuples(st.sampled_from(["send", "recv"]), maybe_none)
operation = st.one_of(
    st.tuples(st.sampled_from(["send", "recv"]), channel),
    st.tuples(st.sampled_from(["send", "recv"]), channel),
    st.tuples(st.sampled_from(["try_send", "try_recv", "close"]), channel),
    st.tuples(st.just("select"), st.lists(case, max_size=4), st.booleans()),
    st.tuples(st.just("select"), st.lists(case, min_size=2, max_size=4), st.just(False)),
)


@dataclass
class Model:
    """What a channel is, by Go's specification."""

    cap: int
    closed: bool = False
    buf: deque[int] = field(default_factory=deque)
    recvq: deque[tuple[int, int | None]] = field(default_factory=deque)  # (operation, case)
    sendq: deque[tuple[int, int | None]] = field(default_factory=deque)


class Reference:
    """All channels, who waits, and every result so far."""

    def __init__(self, capacities: list[int]) -> None:
        self.channels = [Model(cap) for cap in capacities]
        self.results: dict[int, Any] = {}

    def _first(
        self, queue: deque[tuple[int, int | None]], but: int
    ) -> tuple[int, int | None] | None:
        while queue and queue[0][0] in self.results:
            queue.popleft()  # a select that was won elsewhere
        for entry in queue:
            if entry[0] not in self.results and entry[0] != but:
                return entry
        return None

    def ready(self, op: int, kind: str, ch: int) -> bool:
        model = self.channels[ch]
        if model.closed:
            return True
        if kind == "send":
            return len(model.buf) < model.cap or self._first(model.recvq, op) is not None
        return bool(model.buf) or self._first(model.sendq, op) is not None

    def act(self, op: int, kind: str, ch: int, index: int | None) -> None:
        """Do an operation that is ready."""
        model = self.channels[ch]
        if kind == "send":
            if model.closed:
                self.results[op] = SEND_CLOSED
                return
            self.results[op] = (index, None, False) if index is not None else SENT
            if (waiter := self._first(model.recvq, op)) is not None:
                self._give(waiter, op, True)
            else:
                model.buf.append(op)
            return
        waiter = self._first(model.sendq, op)
        if model.buf:
            value, ok = model.buf.popleft(), True
            if waiter is not None:
                model.buf.append(waiter[0])
                self._sent(waiter)
        elif waiter is not None:
            value, ok = waiter[0], True
            self._sent(waiter)
        else:
            value, ok = None, False
        self.results[op] = (index, value, ok) if index is not None else (value, ok)

    def _give(self, waiter: tuple[int, int | None], value: int | None, ok: bool) -> None:
        op, index = waiter
        self.results[op] = (index, value, ok) if index is not None else (value, ok)

    def _sent(self, waiter: tuple[int, int | None]) -> None:
        op, index = waiter
        self.results[op] = (index, None, False) if index is not None else SENT

    def wait(self, op: int, kind: str, ch: int, index: int | None) -> None:
        model = self.channels[ch]
        (model.sendq if kind == "send" else model.recvq).append((op, index))

    def close(self, op: int, ch: int) -> None:
        model = self.channels[ch]
        if model.closed:
            self.results[op] = CLOSE_CLOSED
            return
        model.closed = True
        self.results[op] = "closed"
        while (waiter := self._first(model.recvq, op)) is not None:
            self._give(waiter, None, False)
        while (waiter := self._first(model.sendq, op)) is not None:
            self.results[waiter[0]] = SEND_CLOSED

    def start(self, op: int, what: tuple[Any, ...], chosen: Any) -> None:
        """`chosen` is what the real operation gave, if it is through: only its index is used."""
        kind = what[0]
        if kind == "close":
            self.close(op, what[1])
        elif kind == "select":
            self._select(op, what[1], what[2], chosen)
        elif kind in ("send", "recv"):
            if self.ready(op, kind, what[1]):
                self.act(op, kind, what[1], None)
            else:
                self.wait(op, kind, what[1], None)
        else:
            plain = kind.removeprefix("try_")
            if self.ready(op, plain, what[1]):
                self.act(op, plain, what[1], None)
            else:
                self.results[op] = "would wait"

    def _select(self, op: int, cases: list[Any], default: bool, chosen: Any) -> None:
        ready = [i for i, (k, ch) in enumerate(cases) if ch is not None and self.ready(op, k, ch)]
        if not ready:
            if default:
                self.results[op] = (-1, None, False)
                return
            for i, (k, ch) in enumerate(cases):
                if ch is not None:
                    self.wait(op, k, ch, i)
            return
        if chosen == SEND_CLOSED:  # the error does not say which case it was
            assert any(
                cases[i][0] == "send" and self.channels[cases[i][1]].closed for i in ready
            ), "no ready case sends on a closed channel"
            self.results[op] = SEND_CLOSED
            return
        assert chosen is not None, f"{cases} waits though {ready} are ready"
        assert chosen[0] in ready, f"{cases} took {chosen[0]}; ready were {ready}"
        kind, ch = cases[chosen[0]]
        self.act(op, kind, ch, chosen[0])


async def perform(op: int, what: tuple[Any, ...], channels: list[Chan[int]], results: Any) -> None:
    """The same operation for real; its value is its number."""
    kind = what[0]
    try:
        if kind == "send":
            await channels[what[1]].send(op)
            results[op] = SENT
        elif kind == "recv":
            results[op] = await channels[what[1]].recv_ok()
        elif kind == "close":
            channels[what[1]].close()
            results[op] = "closed"
        elif kind == "try_send":
            results[op] = SENT if channels[what[1]].try_send(op) else "would wait"
        elif kind == "try_recv":
            value, ok, received = channels[what[1]].try_recv()
            results[op] = (value, ok) if received else "would wait"
        else:
            cases = [
                gopark.send(None if ch is None else channels[ch], op)
                if k == "send"
                else gopark.recv(None if ch is None else channels[ch])
                for k, ch in what[1]
            ]
            results[op] = await gopark.select(*cases, default=what[2])
    except ClosedChannelError as exc:
        results[op] = str(exc)


def canonical(program: list[tuple[Any, ...]], results: dict[int, Any]) -> dict[int, Any]:
    """Of equal cases of one select any may win: give the index of the first of them."""
    same: dict[int, Any] = {}
    for op, result in results.items():
        if program[op][0] == "select" and isinstance(result, tuple) and result[0] >= 0:
            cases = program[op][1]
            result = (cases.index(cases[result[0]]), *result[1:])
        same[op] = result
    return same


async def compare(capacities: list[int], program: list[tuple[Any, ...]]) -> None:
    reference = Reference(capacities)
    channels = [Chan[int](cap) for cap in capacities]
    results: dict[int, Any] = {}
    for op, what in enumerate(program):
        if op % 3 == 2 and what[0] != "close":  # every third in a plain goroutine
            gopark.go(lambda op=op, what=what: gopark.block(perform(op, what, channels, results)))
        else:
            gopark.go(perform, op, what, channels, results)
        await wait_all_parked()
        reference.start(op, what, results.get(op))
        assert canonical(program, results) == canonical(program, reference.results)
        for ch, model in zip(channels, reference.channels, strict=True):
            assert len(ch) == len(model.buf)
    parked = gopark.runtime.num_goroutine() - 1
    assert parked == len(program) - len(results)


@pytest.mark.parametrize("procs", [1, 3])
@settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    capacities=st.lists(st.integers(0, 3), min_size=CHANNELS, max_size=CHANNELS),
    program=st.lists(operation, max_size=25),
)
def test_channels_and_select_agree_with_a_sequential_model(procs, capacities, program):
    before = gopark.runtime.gomaxprocs(procs)
    gopark.debug.strict_deadlock()
    try:
        gopark.run(compare, capacities, program)
    finally:
        gopark.debug.strict_deadlock(False)
        gopark.runtime.gomaxprocs(before)
