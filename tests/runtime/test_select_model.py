"""State machines: channels and selects held step by step against a sequential model.

Where test_chan_model.py compares whole programs on a few channels, here hypothesis chooses
each step with the last one's outcome before it, makes channels as it goes, changes the number
of Ps, and ends the runtime in any state. After each step all goroutines are parked, and the
model says which operations are through, with what result, and who waits where, as a dump of
all goroutines shows it.

There is no main: the runtime has started at first use, and the test's own thread looks on.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

import gopark
from gopark import Chan, ClosedChannelError

CLOSED = "closed"
WAITS = "waits"  # the result so far of who is parked
MANNERS = ("coroutine", "coroutine", "plain", "locked", "thread")


# --- the model ---------------------------------------------------------------------------


@dataclass
class ModelChan:
    """A channel by Go's specification. Queues hold (operation, case)."""

    cap: int
    closed: bool = False
    buf: list[int] = field(default_factory=list)
    recvq: list[tuple[Op, int]] = field(default_factory=list)
    sendq: list[tuple[Op, int]] = field(default_factory=list)

    def waiter(self, queue: list[tuple[Op, int]]) -> tuple[Op, int] | None:
        """The first in a queue that still waits; a select may have been won elsewhere."""
        return next((entry for entry in queue if entry[0].result == WAITS), None)

    def ready(self, is_send: bool) -> bool:
        if self.closed:
            return True
        if is_send:
            return len(self.buf) < self.cap or self.waiter(self.recvq) is not None
        return bool(self.buf) or self.waiter(self.sendq) is not None


@dataclass
class Op:
    """An operation: a send or a receive is a select with one case."""

    value: int  # what it sends; each operation its own
    cases: list[tuple[bool, int | None]]  # is it a send, and which channel
    is_select: bool = False
    result: Any = WAITS

    def __hash__(self) -> int:
        return self.value

    def end(self, case: int, value: int | None, ok: bool) -> None:
        is_send = self.cases[case][0]
        if self.is_select:  # of equal cases any may win; the first stands for all
            case = self.cases.index(self.cases[case])
            self.result = (case, None, False) if is_send else (case, value, ok)
        else:
            self.result = "sent" if is_send else (value, ok)

    def reason(self) -> str:
        """Why it is parked, in the words of a dump."""
        if self.is_select:
            return "select" if self.cases else "select (no cases)"
        return "chan send" if self.cases[0][0] else "chan receive"


class Model:
    def __init__(self) -> None:
        self.chans: list[ModelChan] = []
        self.ops: list[Op] = []

    def ready(self, op: Op) -> list[int]:
        return [
            i
            for i, (is_send, ch) in enumerate(op.cases)
            if ch is not None and self.chans[ch].ready(is_send)
        ]

    def wait(self, op: Op) -> None:
        for i, (is_send, ch) in enumerate(op.cases):
            if ch is not None:
                queue = self.chans[ch].sendq if is_send else self.chans[ch].recvq
                queue.append((op, i))

    def act(self, op: Op, case: int) -> None:
        """Do a case that is ready."""
        is_send, number = op.cases[case]
        assert number is not None
        ch = self.chans[number]
        if is_send:
            receiver = ch.waiter(ch.recvq)
            if ch.closed:
                op.result = CLOSED
            elif receiver is not None:
                op.end(case, None, False)
                receiver[0].end(receiver[1], op.value, True)
            else:
                op.end(case, None, False)
                ch.buf.append(op.value)
            return
        sender = ch.waiter(ch.sendq)
        if ch.buf:
            op.end(case, ch.buf.pop(0), True)
            if sender is not None:
                ch.buf.append(sender[0].value)
        elif sender is not None:
            op.end(case, sender[0].value, True)
        else:
            op.end(case, None, False)
        if sender is not None:
            sender[0].end(sender[1], None, False)

    def close(self, number: int) -> bool:
        ch = self.chans[number]
        if ch.closed:
            return False
        ch.closed = True
        while (entry := ch.waiter(ch.recvq)) is not None:
            entry[0].end(entry[1], None, False)
        while (entry := ch.waiter(ch.sendq)) is not None:
            entry[0].result = CLOSED
        return True


# --- the real thing ----------------------------------------------------------------------

HEADER = re.compile(r"^goroutine \d+ \[([^,\]]*)", re.M)
CASES = st.lists(st.tuples(st.booleans(), st.integers(0, 3) | st.none()), max_size=5)


async def perform(op: Op, chans: list[Chan[int]], default: bool, results: dict[int, Any]) -> None:
    def case(is_send: bool, ch: int | None) -> Any:
        chan = None if ch is None else chans[ch]
        return gopark.send(chan, op.value) if is_send else gopark.recv(chan)

    is_send, ch = op.cases[0] if op.cases else (False, None)
    try:
        if op.is_select:
            got = await gopark.select(*(case(*c) for c in op.cases), default=default)
            first = op.cases.index(op.cases[got[0]]) if got[0] >= 0 else -1
            results[op.value] = (first, *got[1:])
        elif is_send:
            await chans[ch].send(op.value)
            results[op.value] = "sent"
        else:
            results[op.value] = await chans[ch].recv_ok()
    except ClosedChannelError:
        results[op.value] = CLOSED
    except gopark.ProgramEnded:
        pass


async def locked(*args: Any) -> None:
    gopark.runtime.lock_os_thread()
    await perform(*args)


class ChanMachine(RuleBasedStateMachine):
    """Sends, receives and closes, each in a goroutine of its own."""

    channels: Bundle[int] = Bundle("channels")

    def __init__(self) -> None:
        super().__init__()
        self.procs = gopark.runtime.gomaxprocs()
        self.model = Model()
        self.chans: list[Chan[int]] = []
        self.results: dict[int, Any] = {}
        self.threads: list[threading.Thread] = []

    def settle(self) -> None:
        """Wait until everybody is parked or has ended."""
        gopark.block(gopark.testing.wait_all_parked())

    def start(self, op: Op, manner: str, default: bool = False) -> None:
        args = op, self.chans, default, self.results
        self.model.ops.append(op)
        if manner == "thread":
            thread = threading.Thread(target=lambda: gopark.block(perform(*args)), daemon=True)
            thread.start()
            self.threads.append(thread)
            while thread.is_alive() and not self.parked(op):
                thread.join(0.0005)
        elif manner == "plain":
            gopark.go(lambda: gopark.block(perform(*args)))
        else:
            gopark.go(locked if manner == "locked" else perform, *args)
        self.settle()

    def parked(self, op: Op) -> bool:
        """The thread's operation has begun to wait: there is one goroutine more that does."""
        waiting = sum(other.result == WAITS for other in self.model.ops)
        return len(HEADER.findall(gopark.runtime.stack(all=True))) >= waiting

    def simple(self, is_send: bool, ch: int, manner: str) -> None:
        op = Op(len(self.model.ops), [(is_send, ch)])
        ready = self.model.ready(op)
        self.start(op, manner)
        if ready:
            self.model.act(op, 0)
        else:
            self.model.wait(op)

    @initialize(target=channels)
    def first(self) -> int:
        return self.make(0)

    @precondition(lambda self: len(self.chans) < 3)  # few, so that many wait on one
    @rule(target=channels, cap=st.integers(0, 2))
    def another(self, cap: int) -> int:
        return self.make(cap)

    def make(self, cap: int) -> int:
        self.chans.append(Chan(cap))
        self.model.chans.append(ModelChan(cap))
        return len(self.chans) - 1

    @rule(ch=channels, n=st.integers(2, 4), is_send=st.booleans())
    def several(self, ch: int, n: int, is_send: bool) -> None:
        """More than one waits in a queue."""
        for _ in range(n):
            self.simple(is_send, ch, "coroutine")

    @rule(ch=channels, manner=st.sampled_from(MANNERS))
    def send(self, ch: int, manner: str) -> None:
        self.simple(True, ch, manner)

    @rule(ch=channels, manner=st.sampled_from(MANNERS))
    def recv(self, ch: int, manner: str) -> None:
        self.simple(False, ch, manner)

    @rule(ch=channels)
    def try_send(self, ch: int) -> None:
        op = Op(len(self.model.ops), [(True, ch)])
        ready = self.model.ready(op)
        self.model.ops.append(op)
        try:
            sent = self.chans[ch].try_send(op.value)
            assert sent == bool(ready)
            self.results[op.value] = "sent" if sent else "full"
        except ClosedChannelError:
            self.results[op.value] = CLOSED
        if ready:
            self.model.act(op, 0)
        else:
            op.result = "full"
        self.settle()

    @rule(ch=channels)
    def try_recv(self, ch: int) -> None:
        op = Op(len(self.model.ops), [(False, ch)])
        ready = self.model.ready(op)
        self.model.ops.append(op)
        value, ok, received = self.chans[ch].try_recv()
        assert received == bool(ready)
        self.results[op.value] = (value, ok) if received else "empty"
        if ready:
            self.model.act(op, 0)
        else:
            op.result = "empty"
        self.settle()

    @rule(ch=channels)
    def close(self, ch: int) -> None:
        try:
            self.chans[ch].close()
            closed = True
        except ClosedChannelError:
            closed = False
        assert closed == self.model.close(ch)
        self.settle()

    @rule(procs=st.sampled_from([1, 2, 4]))
    def gomaxprocs(self, procs: int) -> None:
        gopark.runtime.gomaxprocs(procs)

    @invariant()
    def every_operation_is_where_the_model_has_it(self) -> None:
        expected = {op.value: op.result for op in self.model.ops if op.result != WAITS}
        assert self.results == expected
        waiting = Counter(op.reason() for op in self.model.ops if op.result == WAITS)
        assert Counter(HEADER.findall(gopark.runtime.stack(all=True))) == waiting
        assert gopark.runtime.num_goroutine() == waiting.total()

    @invariant()
    def every_buffer_holds_what_the_model_has(self) -> None:
        for ch, model in zip(self.chans, self.model.chans, strict=True):
            assert list(ch._buf) == model.buf
            assert len(ch) == len(model.buf)

    def teardown(self) -> None:
        for ch in self.chans:
            if not ch._closed:
                ch.close()
        gopark.run(gopark.gosched)  # ends the runtime, and who waits for ever
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive(), "nobody woke it"
        gopark.runtime.gomaxprocs(self.procs)
        assert gopark.runtime.num_goroutine() == 0


class SelectMachine(ChanMachine):
    """And selects over several channels, None among them, in both directions, some twice."""

    @precondition(lambda self: self.chans)
    @rule(cases=CASES, default=st.booleans(), manner=st.sampled_from(MANNERS))
    def select(self, cases: Any, default: bool, manner: str) -> None:
        n = len(self.chans)
        known = [(is_send, None if ch is None else ch % n) for is_send, ch in cases]
        op = Op(len(self.model.ops), known, is_select=True)
        ready = self.model.ready(op)
        self.start(op, manner, default)
        got = self.results.get(op.value)
        if not ready:
            if default:
                op.result = (-1, None, False)
            else:
                self.model.wait(op)
            return
        firsts = {op.cases.index(op.cases[i]) for i in ready}
        if got == CLOSED:  # the error does not say which case it was
            sends = [i for i in ready if op.cases[i][0]]
            assert any(self.model.chans[op.cases[i][1] or 0].closed for i in sends)
            op.result = CLOSED
            return
        assert got is not None, f"{op} waits, and {ready} are ready"
        assert got[0] in firsts, f"{op} took {got}, and ready were {ready}"
        self.model.act(op, got[0])


SETTINGS = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

TestChannels = ChanMachine.TestCase
TestChannels.settings = SETTINGS
TestSelects = SelectMachine.TestCase
TestSelects.settings = SETTINGS
