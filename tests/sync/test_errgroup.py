"""errgroup: what x/sync's own tests pin down, and the handles with their results."""

from __future__ import annotations

import traceback

import pytest

import gopark
from gopark import context, recv
from gopark.sync import errgroup


class Boom(Exception):
    pass


async def fail(text: str = "boom") -> None:
    raise Boom(text)


# --- x/sync's own tests -----------------------------------------------------------------------


async def test_zero_group():
    """Wait gives the first error of any number of functions, and none if none has failed."""
    first, second = Boom("errgroup_test: 1"), Boom("errgroup_test: 2")
    for errors in ([], [None], [first], [first, None], [None, first], [first, None, second]):
        g = errgroup.Group()
        for i, err in enumerate(errors):

            async def fn(err=err):
                if err is not None:
                    raise err

            g.go(fn)
            expected = next((e for e in errors[: i + 1] if e is not None), None)
            try:
                await g.wait()
                got = None
            except Boom as exc:
                got = exc
            except ExceptionGroup as exc:
                got = exc.exceptions[0]
            assert repr(got) == repr(expected)


async def test_with_context():
    """The context ends with the first error, and at the latest when Wait returns."""
    boom = Boom("group_test: custom error")
    for errors, expected in (([], None), ([None], None), ([boom], boom), ([boom, None], boom)):
        g, ctx = errgroup.with_context(context.background())
        for err in errors:

            async def fn(err=err):
                if err is not None:
                    raise err

            g.go(fn)
        try:
            await g.wait()
            got = None
        except Boom as exc:
            got = exc
        assert got is expected
        assert isinstance(ctx.err(), context.Canceled)
        assert context.cause(ctx) == (expected or ctx.err())


async def test_try_go():
    n = 42
    g = errgroup.Group(limit=n)
    ch = gopark.Chan()

    async def fn():
        await ch.recv()

    for _ in range(n):
        assert g.try_go(fn) is not None
    assert g.try_go(fn) is None
    ch.close()
    await g.wait()
    assert g.try_go(fn) is not None
    await g.wait()
    # Set a new limit once none is active.
    g.set_limit(1)
    ch = gopark.Chan()
    assert g.try_go(fn) is not None
    assert g.try_go(fn) is None
    ch.close()
    await g.wait()
    # Block all of them.
    g.set_limit(0)
    assert [g.try_go(fn) for _ in range(1 << 4)] == [None] * (1 << 4)
    await g.wait()


async def test_go_limit(procs):
    limit, most, active = 10, 0, 0
    mu = gopark.sync.Mutex()
    g = errgroup.Group(limit=limit)

    async def fn():
        nonlocal most, active
        async with mu:
            active += 1
            most = max(most, active)
        await gopark.gosched()
        async with mu:
            active -= 1

    for _ in range(200):
        await g.go(fn).started()
    await g.wait()
    assert most <= limit
    assert active == 0


async def test_cancel_cause():
    """The cause is the error; without one, the context's own."""
    boom = Boom("group_test: custom error")
    for err in (None, boom):
        g, ctx = errgroup.with_context(context.background())

        async def fn(err=err):
            if err is not None:
                raise err

        g.go(fn)
        with pytest.raises(Boom) if err else context.use(ctx):
            await g.wait()
        assert context.cause(ctx) == (err or ctx.err())


async def test_example_group_just_errors():
    g = errgroup.Group()

    async def fetch(url):
        if url == "bad":
            raise Boom(url)

    for url in ("good", "bad", "fine"):
        g.go(fetch, url)
    with pytest.raises(Boom, match="bad"):
        await g.wait()


async def test_example_group_parallel():
    async def search(kind, query):
        return f"{kind} result for {query!r}"

    async with errgroup.Group() as g:
        tasks = [g.go(search, kind, "golang") for kind in ("web", "image", "video")]
    assert [t.result() for t in tasks] == [
        "web result for 'golang'", "image result for 'golang'", "video result for 'golang'"
    ]  # fmt: skip


async def test_example_group_pipeline():
    """Stages in one group: the first error stops all of them."""
    g, ctx = errgroup.with_context(context.background())
    numbers, squares = gopark.Chan(), gopark.Chan()

    async def produce():
        try:
            for n in range(100):
                index, _, _ = await gopark.select(gopark.send(numbers, n), recv(ctx.done()))
                if index == 1:
                    raise ctx.err()
        finally:
            numbers.close()

    async def square():
        async for n in numbers:
            if n == 7:
                raise Boom("seven")
            index, _, _ = await gopark.select(gopark.send(squares, n * n), recv(ctx.done()))
            if index == 1:
                raise ctx.err()

    g.go(produce)
    for _ in range(3):
        g.go(square)
    got = []
    while True:
        index, value, _ = await gopark.select(recv(squares), recv(ctx.done()))
        if index == 1:
            break
        got.append(value)
    with pytest.raises(Boom, match="seven"):
        await g.wait()
    assert set(got) <= {n * n for n in range(100)}


# --- results ----------------------------------------------------------------------------------


async def test_results_of_async_and_plain_functions(procs):
    async def coro(n, *, by=1):
        await gopark.gosched()
        return n * by

    def plain(n, *, by=1):
        return n * by

    async with errgroup.Group() as g:
        tasks = [g.go(fn, n, by=10) for n in range(20) for fn in (coro, plain)]
    assert [t.result() for t in tasks] == [n * 10 for n in range(20) for _ in range(2)]


async def test_a_result_that_is_not_there_yet_says_when_it_will_be():
    stop = gopark.Chan()
    async with errgroup.Group() as g:
        task = g.go(stop.recv)
        with pytest.raises(RuntimeError, match=r"no result yet.*await g\.wait"):
            task.result()
        stop.close()
    assert task.result() is None


async def test_result_raises_what_the_function_raised():
    g = errgroup.Group()
    task = g.go(fail, "mine")
    with pytest.raises(Boom) as first:
        await g.wait()
    for _ in range(3):
        with pytest.raises(Boom) as again:
            task.result()
        assert again.value is not first.value
        assert (type(again.value), again.value.args) == (Boom, ("mine",))


async def test_an_exception_raised_many_times_does_not_grow():
    g = errgroup.Group()
    task = g.go(fail)

    async def result():
        task.result()

    lengths = set()
    for _ in range(10):
        for again in (g.wait, result):
            other = ValueError("something else that is being handled")
            try:
                raise other
            except ValueError:
                with pytest.raises(Boom) as caught:
                    await again()
            assert caught.value.__context__ in (None, other)
            lengths.add((again, len(traceback.extract_tb(caught.value.__traceback__))))
    assert len(lengths) == 2
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "fail"


async def test_goexit_ends_its_function_only():
    g = errgroup.Group()

    async def leave():
        gopark.goexit()

    tasks = [g.go(leave), g.go(gopark.goexit), g.go(lambda: 1)]
    await g.wait()
    assert tasks[2].result() == 1
    for task in tasks[:2]:
        with pytest.raises(RuntimeError, match="goexit, or the end"):
            task.result()


async def test_a_decorated_coroutine_function_is_awaited():
    def decorated(n):
        async def inner():
            await gopark.gosched()
            return n

        return inner()

    async with errgroup.Group() as g:
        task = g.go(decorated, 5)
    assert task.result() == 5


async def test_repr():
    stop = gopark.Chan()
    g = errgroup.Group(limit=1)
    tasks = [g.go(stop.recv), g.go(fail)]
    assert repr(g).startswith("<errgroup.Group 1 running, 1 queued, limit 1 at 0x")
    assert [repr(t) for t in tasks] == ["<Task Chan.recv running>", "<Task fail queued>"]
    stop.close()
    with pytest.raises(Boom):
        await g.wait()
    assert [repr(t) for t in tasks] == ["<Task Chan.recv returned>", "<Task fail raised>"]
