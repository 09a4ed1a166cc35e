"""Channels to receive from alone: whatever else is tried is refused, and changes nothing."""

from __future__ import annotations

import pytest

import gopark
from gopark import Chan, recv, select, send
from gopark.context import background, with_cancel, with_timeout
from gopark.sync import singleflight
from gopark.testing import wait_all_parked
from gopark.time import Ticker, Timer, after, tick


def done():
    ctx, cancel = with_cancel(background())
    return ctx.done(), cancel


def ended():
    """That of a context which had ended before anybody asked."""
    ctx, cancel = with_cancel(background())
    cancel()
    return ctx.done(), cancel


def expires():
    ctx, cancel = with_timeout(background(), 1e300)
    return ctx.done(), cancel


def result():
    ch = Chan()
    made = singleflight.Group().do_chan("key", ch.recv)
    return made, ch.close


def timer(make):
    made = make(3600)
    return getattr(made, "c", made), getattr(made, "stop", lambda: None)


CHANNELS = {
    "done": done,
    "ended": ended,
    "expires": expires,
    "do_chan": result,
    "Timer": lambda: timer(Timer),
    "Ticker": lambda: timer(Ticker),
    "after": lambda: timer(after),
    "tick": lambda: timer(tick),
}


async def sends(ch):
    await ch.send("boo")


async def blocks(ch):
    gopark.block(ch.send("boo"))


async def tries(ch):
    ch.try_send("boo")


async def closes(ch):
    ch.close()


async def selects(ch):
    await select(send(ch, "boo"))


async def looks(ch):
    await select(send(ch, "boo"), default=True)


async def selects_both(ch):
    await select(recv(ch), send(ch, "boo"))


async def selects_another(ch):
    other = Chan(1)
    await select(send(other, "boo"), send(ch, "boo"))


@pytest.mark.parametrize(
    "way", [sends, blocks, tries, closes, selects, looks, selects_both, selects_another]
)
@pytest.mark.parametrize("name", CHANNELS)
async def test_it_is_refused_with_a_receiver_waiting_or_not(name, way):
    ch, end = CHANNELS[name]()
    with pytest.raises(TypeError, match=r"cannot|only"):
        await way(ch)
    closed, got = name == "ended", []

    async def receiver():
        got.append(await ch.recv())

    if not closed:
        assert ch.try_recv() == (None, False, False)
        gopark.go(receiver)
        await wait_all_parked()
        with pytest.raises(TypeError, match=r"cannot|only"):
            await way(ch)
        await wait_all_parked()
        assert got == []
    end()


async def test_what_it_is_for_comes_all_the_same():
    ch, cancel = done()
    gopark.go(cancel)
    assert await select(recv(ch)) == (0, None, False)
    ch, close = result()
    gopark.go(close)
    index, value, ok = await select(recv(ch))
    assert (index, value.value, ok) == (0, None, True)
