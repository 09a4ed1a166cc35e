"""A search in many places at once that stops as soon as anybody has found something.

The request has a deadline. Below it each place is searched under a context of its own, for as
long as patience with that place lasts; the first answer cancels all others, with a cause that
says why they were stopped. Nobody waits for anything without waiting for the end of its context
as well.

    python examples/context_tree.py
"""

from __future__ import annotations

from typing import NamedTuple

import gopark
from gopark import Chan, context, recv, select, send
from gopark.context import Context


class Place(NamedTuple):
    needs: float  # seconds
    patience: float  # seconds


PLACES = {
    "memory": Place(needs=0.02, patience=60),
    "disk": Place(needs=30, patience=60),
    "archive": Place(needs=90, patience=60),
    "moon": Place(needs=300000, patience=0),
}


class Found(Exception):
    """Why the others are stopped; nothing is wrong."""


class Report(NamedTuple):
    place: str
    outcome: str


class Reader:
    """The key of who asks, in the values of a request."""


READER = Reader()


async def look(ctx: Context, place: str, seconds: float) -> str:
    """Search one place. Raises the error of the context when that ends first."""
    answer = gopark.time.after(seconds)
    index, _, _ = await select(recv(answer), recv(ctx.done()))
    if index == 1:
        error = ctx.err()
        assert error is not None
        raise error
    return f"{ctx.value(READER)}'s book is in the {place}"


async def search(ctx: Context, place: str, answers: Chan[str], reports: Chan[Report]) -> None:
    """Look in one place; not for too long, however much time the request has."""
    needs, patience = PLACES[place]
    too_far = TimeoutError(f"the {place} is too far")
    with context.with_timeout_cause(ctx, patience, too_far) as own:
        try:
            answer = await look(own, place, needs)
        except (context.Canceled, context.DeadlineExceeded) as error:
            outcome = f"{error}: {context.cause(own)}"
        else:
            await select(send(answers, answer), recv(own.done()))
            outcome = "found it"
    await reports.send(Report(place, outcome))


async def first(parent: Context) -> list[Report]:
    """Print the first answer; return how it went everywhere."""
    answers, reports = Chan[str](), Chan[Report](len(PLACES))
    ctx, cancel = context.with_cancel_cause(parent)
    for place in PLACES:
        gopark.go(search, ctx, place, answers, reports)
    index, answer, _ = await select(recv(answers), recv(ctx.done()))
    print(answer if index == 0 else f"nothing found: {context.cause(ctx)}")
    cancel(Found("the book is found"))
    every = [await reports.recv() for _ in PLACES]
    return sorted(report for report in every if report is not None)


async def main() -> None:
    request = context.with_value(context.background(), READER, "Ada")
    with context.with_timeout(request, 60) as ctx:
        for place, outcome in await first(ctx):
            print(f"  {place}: {outcome}")

    print("now without memory")
    del PLACES["memory"]
    hurry = TimeoutError("the reader has left")
    with context.with_timeout_cause(request, 0.02, hurry) as ctx:
        for place, outcome in await first(ctx):
            print(f"  {place}: {outcome}")


if __name__ == "__main__":
    gopark.run(main)
