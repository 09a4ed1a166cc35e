"""What a work queue promises, wherever its values are kept."""

from __future__ import annotations

import os
from itertools import count

import pytest

import gopark
from gopark import context, workqueue
from gopark.context import background, with_cancel, with_timeout
from harness import run_python


async def test_what_was_sent_comes_once_and_in_order(opened):
    async with await opened() as q:
        for n in range(20):
            await q.send(n)
        await q.close()
        came = []
        async for d in q:
            assert d.tries == 1
            async with d as value:
                came.append(value)
        assert came == list(range(20))
        await is_done(q)
        stats = await q.stats()
        assert (stats.waiting, stats.leased, stats.dead, stats.closed) == (0, 0, 0, True)


async def test_values_are_shared_among_receivers(opened):
    async with await opened(prefetch=1) as q, await opened(prefetch=1) as other:
        receivers = [gopark.spawn(one.C.recv) for one in (q, other)]
        await q.send(1)
        await q.send(2)
        both = [await one for one in receivers]
        assert sorted(d.value for d in both) == [1, 2]
        for d in both:
            await d.ack()


async def test_one_that_is_there_waits_for_who_comes(opened):
    async with await opened() as q:
        await q.send("early")
        async with await opened() as other:
            assert (await other.stats()).waiting == 1
            async with await other.C.recv() as value:
                assert value == "early"


async def test_after_a_close_nobody_sends_and_receivers_end_when_all_is_done(opened):
    async with await opened() as q, await opened() as other:
        await q.send(1)
        d = await other.C.recv()
        await q.close()
        await q.close()
        for one in (q, other):
            with pytest.raises(gopark.ClosedChannelError, match="nobody sends"):
                await one.send(2)
        ended = gopark.spawn(_drain, q)
        assert (await q.stats()).leased == 1
        assert not ended.done, "one is not done yet"
        await d.ack()
        assert await ended == []


async def is_done(q):
    """A server counts what is done a moment after it has confirmed it."""
    with gopark.timeout(20):
        while (stats := await q.stats()).waiting + stats.leased:
            await gopark.time.sleep(0.001)


async def _drain(q):
    came = []
    async for d in q:
        async with d as value:
            came.append(value)
    return came


async def test_a_closed_queue_ends_at_once_for_who_opens_it_and_begins_anew_if_asked(opened):
    async with await opened() as q:
        await q.close()
        async with await opened() as other:
            assert await _drain(other) == []
        async with await opened(reopen=True) as other:
            await other.send(1)
            await other.close()
            assert await _drain(other) == [1]


# --- tries, and the dead ----------------------------------------------------------------------


async def test_what_failed_is_tried_again_and_then_dead(opened):
    async with await opened(tries=3) as q:
        await q.send("bad")
        for n in 1, 2, 3:
            d = await q.C.recv()
            assert d.tries == n
            with pytest.raises(ValueError, match="no good"):
                async with d:
                    raise ValueError("no good")
        await is_done(q)
        assert (await q.stats()).dead == 1
        (letter,) = [letter async for letter in q.dead]
        assert (letter.value, letter.tries, letter.why) == ("bad", 3, "ValueError: no good")
        assert await letter.requeue()
        assert not await letter.requeue(), "it is there no more"
        async with await q.C.recv() as value:
            assert value == "bad"
        assert (await q.stats()).dead == 0


async def test_again_with_a_delay_comes_back_no_earlier(opened):
    async with await opened() as q:
        await q.send("later")
        began = gopark.time.monotonic()
        await (await q.C.recv()).again(0.2)
        d = await q.C.recv()
        assert gopark.time.monotonic() - began >= 0.2
        assert d.tries == 2
        await d.ack()


async def test_the_last_again_is_the_last_try(opened):
    async with await opened(tries=1) as q:
        await q.send(1)
        await (await q.C.recv()).again()
        assert [letter.why async for letter in q.dead] == ["given back"]


async def test_what_is_dropped_is_dead_at_once(opened):
    async with await opened() as q:
        for n in range(3):
            await q.send(n)
        for n in range(3):
            await (await q.C.recv()).drop(f"no {n}")
        assert [(one.value, one.why, one.tries) async for one in q.dead] == [
            (0, "no 0", 1),
            (1, "no 1", 1),
            (2, "no 2", 1),
        ]
        assert [await letter.drop() async for letter in q.dead] == [True] * 3
        assert [letter async for letter in q.dead] == []


async def test_a_delivery_is_settled_once(opened):
    async with await opened() as q:
        await q.send(1)
        d = await q.C.recv()
        async with d:
            await d.ack()
        for how in (d.ack, d.again, d.drop):
            with pytest.raises(RuntimeError, match="settled already"):
                await how()
        await is_done(q)


async def test_purge_forgets_what_waits_and_what_is_dead(opened):
    async with await opened() as q:
        for n in range(5):
            await q.send(n)
        await (await q.C.recv()).drop()
        assert await q.purge() == 4
        assert await q.purge(dead=True) == 1
        stats = await q.stats()
        assert (stats.waiting, stats.leased, stats.dead) == (0, 0, 0)


# --- leases -----------------------------------------------------------------------------------


async def test_a_lease_is_renewed_while_the_handler_runs(opened):
    async with await opened(lease=0.3) as q, await opened() as other:
        await q.send("long")
        async with await q.C.recv() as value:
            late = gopark.time.after(1.2)
            assert (await gopark.select(gopark.recv(other.C), gopark.recv(late)))[0] == 1
            assert value == "long"
        await is_done(q)


async def test_a_handler_that_hangs_loses_its_lease(opened):
    async with await opened(lease=0.3, max_time=0.3) as q, await opened() as other:
        await q.send("stuck")
        hangs = await q.C.recv()
        async with hangs:
            _, d, _ = await gopark.select(gopark.recv(q.C), gopark.recv(other.C))
            assert (d.value, d.tries) == ("stuck", 2)
            await d.ack()
        assert (await q.stats()).waiting == 0, "a late acknowledgement changes nothing"


async def test_what_lies_ready_is_given_back_untried(opened):
    async with await opened() as other:
        q = await opened(prefetch=3)
        for n in range(3):
            await q.send(n)
        first = await q.C.recv()
        await first.ack()
        while len(q.C) < 2:
            await gopark.time.sleep(0.001)
        await q.leave()
        await q.leave()
        came = [await other.C.recv() for _ in range(2)]
        assert sorted(d.value for d in came) == [1, 2]
        for d in came:
            await d.ack()


# --- a full queue -----------------------------------------------------------------------------


async def test_a_sender_waits_while_the_queue_is_full(opened):
    async with await opened(cap=2) as q:
        await q.send(1)
        await q.send(2)
        third = gopark.spawn(q.send, 3)
        d = await q.C.recv()
        assert not third.done, "one that is leased is not done"
        await d.ack()
        await third
        stats = await q.stats()
        assert stats.waiting + stats.leased == 2
        await q.purge()


async def test_a_context_ends_the_wait_of_a_sender(opened):
    async with await opened(cap=1) as q:
        await q.send(1)
        with with_timeout(background(), 0.05) as ctx, pytest.raises(context.DeadlineExceeded):
            await q.send(2, ctx)
        ctx, cancel = with_cancel(background())
        cancel()
        with pytest.raises(context.Canceled):
            await q.send(2, ctx)
        with pytest.raises(TimeoutError), gopark.timeout(0.05):
            await q.send(2)
        assert (await q.stats()).waiting == 1
        await q.close()
        assert await _drain(q) == [1]


async def test_a_close_ends_the_wait_of_a_sender(opened):
    async with await opened(cap=1) as q:
        await q.send(1)
        waits = gopark.spawn(q.send, 2)
        await gopark.testing.wait_all_parked()
        await q.close()
        with pytest.raises(gopark.ClosedChannelError):
            await waits


async def test_a_close_amid_sends_loses_none_that_was_confirmed(opened):
    async with await opened(cap=500) as q, await opened() as there:
        confirmed, done, refused = [], [], []

        async def send(first):
            for n in count(first):
                try:
                    await q.send(n)
                except gopark.ClosedChannelError:
                    refused.append(n)
                    return
                confirmed.append(n)

        async def receive():
            async for d in there:
                async with d as value:
                    done.append(value)

        tasks = [*(gopark.spawn(send, 1_000_000 * n) for n in range(5)), gopark.spawn(receive)]
        while len(done) < 100:
            await gopark.time.sleep(0.001)
        await q.close()
        await gopark.gather(*tasks)
        assert len(refused) == 5
        assert set(confirmed) <= set(done) <= set(confirmed) | set(refused)


async def test_a_scope_ends_the_wait_of_a_receiver(opened):
    async with await opened() as q:
        with pytest.raises(TimeoutError), gopark.timeout(0.05):
            await q.C.recv()
        await q.send("late")
        async with await q.C.recv() as value:
            assert value == "late"


async def test_a_value_is_acknowledged_in_a_scope_that_is_over(opened):
    async with await opened() as q:
        await q.send(1)
        with pytest.raises(TimeoutError), gopark.timeout(0.05):
            async with await q.C.recv():
                try:
                    await gopark.Chan().recv()
                except gopark.ScopeEnded:
                    pass
            await gopark.Chan().recv()
        await is_done(q)


async def test_a_value_whose_handler_a_scope_ends_is_tried_again(opened):
    async with await opened() as q:
        await q.send(1)
        with pytest.raises(TimeoutError), gopark.timeout(0.05):
            async with await q.C.recv():
                await gopark.Chan().recv()
        d = await q.C.recv()
        assert (d.value, d.tries) == (1, 2)
        await d.ack()


# --- ids --------------------------------------------------------------------------------------


async def test_an_id_is_sent_once(opened):
    async with await opened() as q:
        for _ in range(3):
            await q.send("a", id="1")
        await q.send("b", id="2")
        async with await q.C.recv() as value:
            assert value == "a"
        await q.send("a", id="1")
        await q.close()
        assert await _drain(q) == ["b"]


@pytest.mark.parametrize(("id", "error"), [("", ValueError), ("x\n", ValueError), (7, TypeError)])
async def test_what_is_no_id_is_refused(opened, id, error):
    async with await opened() as q:
        with pytest.raises(error, match="id"):
            await q.send(1, id=id)
        with pytest.raises(ValueError, match="255"):
            await q.send(1, id="x" * 256)


# --- mistakes ---------------------------------------------------------------------------------


async def test_other_settings_are_a_mismatch_that_names_them(opened):
    async with await opened(cap=10, lease=5.0, tries=2) as q:
        for setting, value in {"cap": 11, "lease": 6.0, "tries": 3}.items():
            with pytest.raises(workqueue.Mismatch, match=f"{setting} is .* there and .* here"):
                await opened(**{setting: value})
        with pytest.raises(workqueue.Mismatch, match="codec is 'json' there and 'raw' here"):
            await opened(codec=workqueue.raw)
        async with await opened(cap=10, lease=5.0, tries=2) as same, await opened() as any_:
            assert same.cap == any_.cap == q.cap == 10
            assert any_.lease == 5.0
            assert any_.tries == 2


async def test_what_is_too_big_or_cannot_be_written_is_not_sent(opened):
    async with await opened() as q:
        with pytest.raises(workqueue.TooBig, match=r"2,000,002 bytes.*at most 1,0"):
            await q.send("x" * 2_000_000)
        with pytest.raises(workqueue.NotEncodable, match=r"'json'.*object at"):
            await q.send(object())
        assert (await q.stats()).waiting == 0


async def test_codecs_go_by_their_name_but_for_pickle(opened, name, url):
    async with await opened(codec=workqueue.raw) as q, await opened() as other:
        assert other.codec is workqueue.raw
        await q.send(b"\0\xff")
        async with await other.C.recv() as value:
            assert value == b"\0\xff"
    async with await workqueue.open(name + "p", url, codec=workqueue.unsafe_pickle) as q:
        with pytest.raises(workqueue.Mismatch, match="unsafe_pickle"):
            await workqueue.open(name + "p", url)
        await q.send({1, 2})
        async with await q.C.recv() as value:
            assert value == {1, 2}
        await q.close()


async def test_what_cannot_be_read_goes_to_the_dead_and_to_no_handler(name, url):
    class odd:
        name = "odd"
        encode = staticmethod(lambda value: value.encode())
        decode = staticmethod(lambda data: int(data))

    async with await workqueue.open(name, url, codec=odd) as q:
        await q.send("x")
        await q.send("7")
        async with await q.C.recv() as value:
            assert value == 7
        await q.close()
        assert await _drain(q) == [], "it ends when the other is dead"
        letters = [letter async for letter in q.dead]
        assert [letter.payload for letter in letters] == [b"x"]
        assert "cannot be decoded: ValueError" in letters[0].why


async def test_a_select_has_values_among_its_cases(opened):
    async with await opened() as q:
        ctx, cancel = with_cancel(background())
        await q.send("one")
        index, d, ok = await gopark.select(gopark.recv(q.C), gopark.recv(ctx.done()))
        assert (index, d.value, ok) == (0, "one", True)
        await d.ack()
        cancel()
        assert (await gopark.select(gopark.recv(q.C), gopark.recv(ctx.done())))[0] == 1


async def test_the_channel_is_only_to_receive_from(opened):
    async with await opened() as q:
        with pytest.raises(TypeError, match=r"q\.send"):
            q.C.try_send(1)


async def test_many_senders_and_receivers_lose_nothing(opened):
    async with await opened(cap=50, prefetch=20) as q, await opened(prefetch=20) as other:
        came: list[int] = []

        async def receive(q):
            async for d in q:
                async with d as value:
                    came.append(value)

        async def send(first):
            for n in range(first, first + 50):
                await q.send(n)

        receivers = [gopark.spawn(receive, one) for one in (q, other) for _ in range(5)]
        await gopark.gather(*(send(50 * n) for n in range(10)))
        await q.close()
        await gopark.gather(*receivers)
        assert sorted(came) == list(range(500))


async def _forgets(name, url, n):
    """Sends, receives, and ends the program with all of it open."""
    q = await workqueue.open(name, url)
    other = await workqueue.open(name, url, prefetch=1)
    await other.send(n)
    d = await q.C.recv()
    await q.send("left")
    assert d.value == n
    await d.ack()


@pytest.mark.filterwarnings("ignore:queue .* was not left:ResourceWarning")
def test_a_program_that_ends_with_queues_open_holds_up_nobody(url, name):
    for n in range(3):
        gopark.run(_forgets, name, url, n)
        gopark.run(_purged, name, url)


async def _purged(name, url):
    async with await workqueue.open(name, url) as q:
        await q.purge()


def test_plain_functions_use_it_by_block(url, name):
    def main():
        q = gopark.block(workqueue.open(name, url))
        gopark.block(q.send("plain"))
        d = gopark.block(q.C.recv())
        assert d.value == "plain"
        gopark.block(d.ack())
        gopark.block(q.leave())

    gopark.run(main)


@pytest.mark.parametrize(
    ("args", "error", "text"),
    [
        (("a b",), ValueError, "letters, digits"),
        ((7,), TypeError, "a string"),
        (("q", "redis://x"), ValueError, "local: or nats://"),
        (("q", 7), TypeError, "a string"),
    ],
)
async def test_a_name_or_url_that_cannot_be_is_refused(args, error, text):
    with pytest.raises(error, match=text):
        await workqueue.open(*args)


@pytest.mark.parametrize(
    ("setting", "value", "error"),
    [
        ("cap", 0, ValueError),
        ("cap", "x", TypeError),
        ("lease", 0.0, ValueError),
        ("lease", float("nan"), ValueError),
        ("tries", 0, ValueError),
        ("tries", True, TypeError),
        ("max_time", -1, ValueError),
        ("prefetch", 0, ValueError),
        ("codec", "json", TypeError),
    ],
)
async def test_a_setting_that_cannot_be_is_refused_by_its_name(setting, value, error):
    with pytest.raises(error, match=setting):
        await workqueue.open("q", **{setting: value})


FORKED = """
import os, sys, warnings
import gopark
from gopark import workqueue

warnings.simplefilter("ignore")

async def child(q, url, name):
    for use in (lambda: q.send("of the child"), q.stats, q.close, lambda: anext(aiter(q))):
        try:
            await use()
        except RuntimeError as exc:
            print(exc)
    await q.leave()
    async with await workqueue.open(name, url) as mine:
        await mine.send("sent anew")

async def main(url, name):
    async with await workqueue.open(name, url) as q:
        pid = os.fork()
        if not pid:
            gopark.run(child, q, url, name)
            sys.stdout.flush()
            os._exit(0)
        while not os.waitpid(pid, os.WNOHANG)[0]:
            await gopark.time.sleep(0.01)
        await q.close()
        async for d in q:
            async with d as value:
                print(value)

gopark.run(main, *sys.argv[1:])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_the_child_of_a_fork_is_told_to_open_the_queue_anew_and_nothing_is_lost(url, name):
    ended = run_python(["-c", FORKED, url, name])
    text = f"queue '{name}' was opened by the process that this one was forked from: open it anew\n"
    assert ended.stdout == 4 * text + "sent anew\n"
    assert ended.status == 0


async def test_who_drops_a_queue_without_leaving_it_is_warned(opened):
    async with await opened():
        pass
    q = await opened()
    leave = q._backend.leave
    dropped = [q]
    del q
    with pytest.warns(ResourceWarning, match=r"queue 'q.*' was not left: async with"):
        dropped.clear()
    await leave()
