"""Trees of contexts held against a model, on programs that hypothesis invents; and in a hurry.

The model knows the rules and none of the mechanism: a context ends at the first of its own
cancel, its own deadline, and the end of its parent, and takes error and cause from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import gopark
from gopark import Chan, context
from gopark.context import Canceled, DeadlineExceeded, background, cause
from gopark.testing import wait_all_parked

LONG = 3600.0

KINDS = ("cancel", "cause", "timeout", "expired", "value", "detached", "wrapper", "own done")


class Wrapper:
    """Leaves everything to the context inside."""

    def __init__(self, inner):
        self.inner = inner

    def deadline(self):
        return self.inner.deadline()

    def done(self):
        return self.inner.done()

    def err(self):
        return self.inner.err()

    def value(self, key):
        return self.inner.value(key)


class OwnDone(Wrapper):
    """Has a channel of its own, that somebody has to close."""

    def __init__(self, inner):
        super().__init__(inner)
        self.own, self.error = Chan(), None

    def deadline(self):
        return None

    def done(self):
        return self.own

    def err(self):
        return self.error

    def cancel(self):
        if self.error is None:
            self.error = Canceled()
            self.own.close()


@dataclass
class Node:
    """A context as it must be."""

    kind: str
    parent: Node | None = None
    ended: tuple[Any, Any] | None = None  # kind of error, cause (None: the error itself)
    children: list[Node] = field(default_factory=list)
    values: dict[Any, Any] = field(default_factory=dict)
    called: int = 0

    def end(self, error, why):
        if self.ended is not None or self.kind in ("detached", "root"):
            return
        self.ended = (error, why)
        for child in self.children:
            if child.kind != "own done":
                child.end(error, why)

    def value(self, key):
        node = self
        while node is not None:
            if key in node.values:
                return node.values[key]
            node = node.parent
        return None

    def why(self):
        """One of others takes the cause of the nearest of ours above it, whenever that ended."""
        if self.ended is None:
            return None
        node = self
        while node is not None and node.kind in ("own done", "wrapper", "value"):
            node = node.parent
            if node is not None and node.kind in ("cancel", "cause", "timeout", "expired"):
                return node.ended[1] if node.ended is not None else None
        return self.ended[1]


def derive(kind, parent, n):
    """The real one, and what cancels it."""
    if kind == "cancel":
        return context.with_cancel(parent)
    if kind == "cause":
        ctx, cancel = context.with_cancel_cause(parent)
        return ctx, lambda: cancel(CAUSES[n])
    if kind == "timeout":
        return context.with_timeout_cause(parent, LONG, CAUSES[n])
    if kind == "expired":
        return context.with_timeout_cause(parent, -1, CAUSES[n])
    if kind == "value":
        return context.with_value(parent, n % 3, n), None
    if kind == "detached":
        return context.without_cancel(parent), None
    if kind == "wrapper":
        return Wrapper(parent), None
    ctx = OwnDone(parent)
    return ctx, ctx.cancel


CAUSES = [ValueError(n) for n in range(100)]

operation = st.one_of(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 1000)),
    st.tuples(st.sampled_from(KINDS[:5]), st.integers(0, 1000)),
    st.tuples(st.sampled_from(["end", "after_func", "ask"]), st.integers(0, 1000)),
    st.tuples(st.just("end"), st.integers(0, 1000)),
)


class Both:
    """The tree and its model, side by side."""

    def __init__(self):
        self.nodes = [Node("root")]
        self.contexts = [background()]
        self.cancels = [None]
        self.calls = []  # (node, list of calls) of each after_func

    async def do(self, kind, n):
        index = n % len(self.nodes)
        node, ctx = self.nodes[index], self.contexts[index]
        if kind == "end":
            self._end(index)
        elif kind == "ask":
            ctx.done()
        elif kind == "after_func":
            calls = []
            context.after_func(ctx, calls.append, "called")
            self.calls.append((node, calls))
        else:
            self._derive(kind, node, ctx)
        await wait_all_parked()

    def _derive(self, kind, node, ctx):
        n = len(self.nodes)
        child = Node(kind, node)
        node.children.append(child)
        if node.ended is not None and kind != "own done":
            child.end(node.ended[0], node.why())
        if kind == "value":
            child.values[n % 3] = n
        elif kind == "expired":
            child.end(DeadlineExceeded, CAUSES[n])
        real, cancel = derive(kind, ctx, n)
        self.nodes.append(child)
        self.contexts.append(real)
        self.cancels.append(cancel)

    def _end(self, index):
        cancel, node = self.cancels[index], self.nodes[index]
        if cancel is None:
            return
        cancel()
        why = CAUSES[index] if node.kind == "cause" else None
        if node.kind == "own done" and node.ended is None:
            node.ended = (Canceled, None)
            why = node.why()
            for child in node.children:
                if child.kind != "own done":
                    child.end(Canceled, why)
        node.end(Canceled, why)

    def check(self):
        for node, ctx in zip(self.nodes, self.contexts, strict=True):
            if node.ended is None:
                assert ctx.err() is None
                assert cause(ctx) is None
                assert ctx.done() is None or not ctx.done().try_recv()[2]
            else:
                assert type(ctx.err()) is node.ended[0]
                assert ctx.done().try_recv()[2]
                why = node.why()
                if why is not None:
                    assert cause(ctx) is why
                else:
                    assert isinstance(cause(ctx), Canceled)
            assert [ctx.value(key) for key in range(3)] == [node.value(key) for key in range(3)]
        for node, calls in self.calls:
            assert calls == (["called"] if node.ended is not None else [])


@settings(max_examples=200, deadline=None)
@given(operations=st.lists(operation, max_size=40))
def test_trees_end_as_the_model_says(operations):
    async def main():
        both = Both()
        for kind, n in operations:
            if len(both.nodes) < len(CAUSES):
                await both.do(kind, n)
        both.check()
        for index in range(len(both.nodes)):
            await both.do("end", index)
        both.check()

    gopark.debug.strict_deadlock()
    try:
        gopark.run(main)
    finally:
        gopark.debug.strict_deadlock(False)
