"""singleflight.Group: many ask for one thing, and one call is made."""

from __future__ import annotations

import _thread
import copy
import gc
import random
import threading
import traceback
import weakref

import pytest

import gopark
from gopark import recv
from gopark.sync import WaitGroup, errgroup, singleflight
from gopark.testing import wait_all_parked


class Boom(Exception):
    pass


class Gated:
    """A function that counts its calls and returns when it is let go."""

    def __init__(self, outcome: object = "bar") -> None:
        self.calls = 0
        self.gate = gopark.Chan()
        self.outcome = outcome

    async def __call__(self, *args: object) -> object:
        self.calls += 1
        await self.gate.recv()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        if self.outcome == "goexit":
            gopark.goexit()
        return self.outcome


# --- x/sync's own tests -----------------------------------------------------------------------


async def test_do():
    g = singleflight.Group()
    assert await g.do("key", lambda: "bar") == ("bar", False)


async def test_do_err():
    g = singleflight.Group()
    boom = Boom("some error")

    async def fail():
        raise boom

    with pytest.raises(Boom) as caught:
        await g.do("key", fail)
    assert caught.value is boom


async def test_do_dup_suppress(procs):
    """Those who come while a call runs share it."""
    g = singleflight.Group()
    fn = Gated()
    n = 10
    async with errgroup.Group() as group:
        tasks = [group.go(g.do, "key", fn) for _ in range(n)]
        await gopark.testing.wait_all_parked()
        assert fn.calls == 1
        fn.gate.close()
    assert [t.result() for t in tasks] == [("bar", True)] * n
    assert await g.do("key", fn) == ("bar", False)  # the call is over: a new one
    assert fn.calls == 2


async def test_forget():
    """After forget the next caller calls anew, and those after it share that call."""
    g = singleflight.Group()
    first, second, third = Gated("first"), Gated("second"), Gated("third")
    async with errgroup.Group() as group:
        one = group.go(g.do, "key", first)
        await gopark.testing.wait_all_parked()
        g.forget("key")
        two = group.go(g.do, "key", second)
        await gopark.testing.wait_all_parked()
        first.gate.close()  # its end must not take the second from the map
        await gopark.testing.wait_all_parked()
        three = group.go(g.do, "key", third)
        await gopark.testing.wait_all_parked()
        second.gate.close()
    assert one.result() == ("first", False)
    assert two.result() == three.result() == ("second", True)
    assert third.calls == 0


async def test_forget_unshared():
    """A call that was forgotten and not shared says so, though the key is in use again."""
    g = singleflight.Group()
    fn, other = Gated(), Gated("other")
    result = g.do_chan("key", fn)
    await gopark.testing.wait_all_parked()
    g.forget("key")
    late = g.do_chan("key", other)
    later = g.do_chan("key", other)
    fn.gate.close()
    other.gate.close()
    assert await result.recv() == ("bar", None, False)
    assert await late.recv() == await later.recv() == ("other", None, True)


async def test_do_and_forget_unshared_race(procs):
    """Calls, and a forget at the end of one: no caller is told a call was shared that was not."""
    for _ in range(30):
        g = singleflight.Group()
        first = Gated("first")

        async def second():
            return "second"

        async with errgroup.Group() as group:
            one = group.go(g.do, "key", first)
            await gopark.testing.wait_all_parked()
            group.go(first.gate.close)
            group.go(g.forget, "key")
            two = group.go(g.do, "key", second)
        assert two.result() in (("second", False), ("first", True))
        assert one.result() == ("first", two.result()[0] == "first")


async def test_do_chan():
    g = singleflight.Group()
    result = await g.do_chan("key", lambda: "bar").recv()
    assert isinstance(result, singleflight.Result)
    assert result == ("bar", None, False)


async def test_panic_do(procs):
    """What the call raises is raised in every caller, and the key is free afterwards."""
    g = singleflight.Group()
    boom = Boom("invalid memory address")
    fn = Gated(boom)
    n = 5
    async with WaitGroup() as wg:
        raised = []

        async def caller():
            try:
                await g.do("key", fn)
            except Boom as exc:
                raised.append(exc)

        for _ in range(n):
            wg.go(caller)
        await gopark.testing.wait_all_parked()
        fn.gate.close()
    assert [repr(exc) for exc in raised] == [repr(boom)] * n
    assert len({id(exc) for exc in raised}) == n
    assert fn.calls == 1
    assert await g.do("key", lambda: 1) == (1, False)


async def test_goexit_do(procs):
    """Goexit in the call ends all who wait for it, and nobody waits for ever."""
    g = singleflight.Group()
    fn = Gated("goexit")
    n = 5
    ended = []

    async def caller():
        try:
            await g.do("key", fn)
            ended.append("returned")
        finally:
            ended.append("unwound")

    async with WaitGroup() as wg:
        for _ in range(n):
            wg.go(caller)
        await gopark.testing.wait_all_parked()
        fn.gate.close()
    assert ended == ["unwound"] * n
    assert await g.do("key", lambda: 1) == (1, False)


async def test_panic_do_chan():
    """What the call raises comes on the channel."""
    g = singleflight.Group()
    boom = Boom("panicking in DoChan")
    fn = Gated(boom)
    chans = [g.do_chan("key", fn) for _ in range(2)]
    await gopark.testing.wait_all_parked()
    fn.gate.close()
    for ch in chans:
        value, err, shared = await ch.recv()
        assert (value, repr(err), shared) == (None, repr(boom), True)


async def test_panic_do_shared_by_do_chan():
    """A call of `do` that others joined by a channel."""
    g = singleflight.Group()
    boom = Boom("panicking in Do")
    fn = Gated(boom)
    async with errgroup.Group() as group:

        async def caller():
            with pytest.raises(Boom):
                await g.do("key", fn)

        group.go(caller)
        await gopark.testing.wait_all_parked()
        ch = g.do_chan("key", fn)
        fn.gate.close()
        value, err, shared = await ch.recv()
        assert (value, repr(err), shared) == (None, repr(boom), True)
    assert fn.calls == 1


async def test_example_group():
    """The result of a call in a select beside a timeout."""
    g = singleflight.Group()
    fn = Gated("func 1")
    chans = [g.do_chan("key", fn), g.do_chan("key", fn)]
    index, _, _ = await gopark.select(recv(chans[0]), recv(gopark.time.after(0.001)))
    assert index == 1
    fn.gate.close()
    assert [await ch.recv() for ch in chans] == [("func 1", None, True)] * 2


# --- how a call can end -----------------------------------------------------------------------


async def test_goexit_closes_the_channels_without_a_value():
    g = singleflight.Group()
    fn = Gated("goexit")
    chans = [g.do_chan("key", fn) for _ in range(2)]
    fn.gate.close()
    for ch in chans:
        assert await ch.recv_ok() == (None, False)


async def test_an_exception_that_many_raise_does_not_grow():
    g = singleflight.Group()
    fn = Gated(Boom("shared"))
    names = []

    async def caller():
        try:
            await g.do("key", fn)
        except Boom as exc:
            names.append([frame.name for frame in traceback.extract_tb(exc.__traceback__)])

    async with WaitGroup() as wg:
        for _ in range(20):
            wg.go(caller)
        await gopark.testing.wait_all_parked()
        fn.gate.close()
    assert names == [["caller", "do", "raise_again", "__call__"]] * 20


def test_a_call_that_ctrl_c_breaks_off_tells_those_who_wait(run):
    got = []

    async def main():
        g = singleflight.Group()

        async def endless():
            gopark.go(interrupt)
            await gopark.Chan().recv()

        async def other():
            try:
                await g.do("key", endless)
            except RuntimeError as exc:
                got.append((str(exc), type(exc.__cause__)))

        async def interrupt():
            gopark.go(other)
            ch = g.do_chan("key", endless)
            await gopark.testing.wait_all_parked()
            _thread.interrupt_main()
            got.append(type((await ch.recv()).err))

        try:
            await g.do("key", endless)
        finally:
            await gopark.testing.wait_all_parked()

    with pytest.raises(KeyboardInterrupt):
        run(main, outside_help=True)
    text = "singleflight: the call for 'key' was broken off by KeyboardInterrupt()"
    assert sorted(got, key=str) == [(text, KeyboardInterrupt), RuntimeError]


def test_main_returns_while_a_call_runs(run):
    async def main():
        g = singleflight.Group()
        for _ in range(3):
            gopark.go(g.do, "key", gopark.Chan().recv)
        g.do_chan("other", gopark.Chan().recv)
        await gopark.testing.wait_all_parked()

    run(main)


async def test_a_waiter_that_gives_up_does_not_disturb_the_call():
    """One that waits on a channel can simply go away."""
    g = singleflight.Group()
    fn = Gated()
    async with errgroup.Group() as group:
        task = group.go(g.do, "key", fn)
        await gopark.testing.wait_all_parked()
        g.do_chan("key", fn)
        fn.gate.close()
    assert task.result() == ("bar", True)


async def test_nothing_is_kept_after_the_call():
    class Page:
        pass

    g = singleflight.Group()
    page, shared = await g.do(("a", 1), Page)
    gone = weakref.ref(page)
    del page
    gc.collect()
    assert gone() is None
    assert not shared
    assert repr(g).startswith("<singleflight.Group 0 running at 0x")


# --- keys, arguments, plain code --------------------------------------------------------------


async def test_keys_do_not_disturb_each_other():
    g = singleflight.Group()
    fns = {key: Gated(key) for key in ("a", "b", ("c", 1), None)}
    async with errgroup.Group() as group:
        tasks = {key: [group.go(g.do, key, fn) for _ in range(3)] for key, fn in fns.items()}
        await gopark.testing.wait_all_parked()
        for fn in fns.values():
            fn.gate.close()
    for key, fn in fns.items():
        assert fn.calls == 1
        assert [t.result() for t in tasks[key]] == [(key, True)] * 3


async def test_arguments_are_passed_on():
    def call(*args, **kwargs):
        return args, kwargs

    g = singleflight.Group()
    assert await g.do("key", call, 1, two=2) == (((1,), {"two": 2}), False)
    assert await g.do_chan("key", call, 1, two=2).recv() == (((1,), {"two": 2}), None, False)


async def test_what_is_wrong_with_a_call_is_an_error_at_once():
    g = singleflight.Group()
    for args in (("key", None), ("key", len), ("key", len, "", ""), ([], lambda: 1)):
        with pytest.raises(TypeError):
            await g.do(*args)
        with pytest.raises(TypeError):
            g.do_chan(*args)
    with pytest.raises(TypeError, match="must not be copied"):
        copy.copy(g)
    assert await g.do("key", lambda: 1) == (1, False)


def test_plain_code(run, procs):
    def main():
        g = singleflight.Group()
        gate = gopark.Chan()
        calls = []

        def load(name):
            calls.append(name)
            gopark.block(gate.recv())
            return name.upper()

        with errgroup.Group() as group:
            tasks = [group.go(lambda: gopark.block(g.do("key", load, "page"))) for _ in range(5)]
            chan = g.do_chan("other", load, "chan")
            gopark.block(gopark.testing.wait_all_parked())
            gate.close()
            assert gopark.block(chan.recv()) == ("CHAN", None, False)
        assert sorted(calls) == ["chan", "page"]
        return [t.result() for t in tasks]

    assert run(main) == [("PAGE", True)] * 5


def test_on_a_thread_that_gopark_did_not_make():
    g = singleflight.Group()
    got = []
    thread = threading.Thread(target=lambda: got.append(gopark.block(g.do("key", lambda: 1))))
    thread.start()
    thread.join()
    assert got == [(1, False)]


@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
def test_a_call_that_never_began_when_its_program_ended_is_broken_off(recwarn, plain):
    """It would stand for its key for ever, and who asks in the next program would wait for it."""
    g, chans = singleflight.Group(), []

    async def coroutine():
        return "late"

    def plainly():
        return "late"

    async def main():
        chans.append(g.do_chan("key", plainly if plain else coroutine))

    async def following():
        result = await chans[0].recv()
        return str(result.err), await g.do("key", lambda: "new")

    gopark.run(main)
    text, result = gopark.run(following)
    assert "broken off by ProgramEnded" in text
    assert result == ("new", False)
    assert [str(w.message) for w in recwarn] == []


# --- in a hurry -------------------------------------------------------------------------------


async def test_one_call_at_a_time_for_each_key(procs):
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    g = singleflight.Group()
    mu = gopark.sync.Mutex()
    made: list[tuple[str, int]] = []
    running: set[str] = set()

    async def load(key, steps):
        async with mu:
            assert key not in running, seed
            running.add(key)
            made.append((key, len(made)))
            mine = made[-1]
        for _ in range(steps):
            await gopark.gosched()
        async with mu:
            running.discard(key)
        if steps % 5 == 4:
            raise Boom(mine)
        return mine

    async def caller(key, steps, by_channel):
        try:
            if by_channel:
                value, err, _ = await g.do_chan(key, load, key, steps).recv()
                if err is not None:
                    raise err
            else:
                value, _ = await g.do(key, load, key, steps)
        except Boom as exc:
            (value,) = exc.args
        assert value[0] == key, seed

    async with WaitGroup() as wg:
        for _ in range(300):
            wg.go(caller, rng.choice("abcde"), rng.randrange(10), rng.random() < 0.5)
    assert running == set()
    assert len(made) < 300, seed


async def test_a_call_that_cannot_be_started_leaves_nothing_behind(monkeypatch):
    """As in a goroutine that outlives its program: the next one is not to wait for it."""
    group = singleflight.Group()

    def refuse(*args):
        raise gopark.ProgramEnded

    with monkeypatch.context() as patch:
        patch.setattr("gopark.sync._singleflight.start", refuse)
        with pytest.raises(gopark.ProgramEnded):
            group.do_chan("key", len, "")
    assert await group.do("key", len, "abc") == (3, False)


async def test_who_waits_is_told_though_the_key_cannot_be_found_any_more():
    """Two keys of one hash, and comparing them fails: the call could not leave the map."""

    class Key:
        fails = False

        def __hash__(self):
            return 1

        def __eq__(self, other):
            if Key.fails:
                raise Boom("__eq__")
            return self is other

    group = singleflight.Group()
    one, two, slow = Key(), Key(), Gated()
    first = Gated()
    gopark.go(group.do, one, first)  # stays there, before the other
    while first.calls == 0:
        await gopark.gosched()
    waits = [gopark.spawn(group.do, two, slow)]
    while slow.calls == 0:
        await gopark.gosched()
    waits.append(gopark.spawn(group.do, two, slow))
    await wait_all_parked()
    Key.fails = True
    slow.gate.close()
    with pytest.raises(Boom, match="__eq__"):
        await waits[0]
    assert await waits[1] == ("bar", True)
    Key.fails = False
    assert await group.do(two, lambda: "anew") == ("anew", False)
