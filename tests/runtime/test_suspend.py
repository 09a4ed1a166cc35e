"""Operations that wait have one waiter: a second one is refused, and takes nothing."""

from __future__ import annotations

import functools
import gc
import importlib
import inspect
import threading
import types
import warnings
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, NamedTuple

import pytest

import gopark
from gopark import Chan
from gopark._runtime.base import suspend
from gopark._runtime.base.runtime2 import GDEAD, GWAITING, PARK, Command, G, allgs
from gopark._runtime.base.suspend import suspends
from gopark._runtime.twin import operations
from gopark.sync import Cond, Mutex, Once, RWMutex, WaitGroup, errgroup, semaphore, singleflight
from gopark.testing import leak, synctest, wait_all_parked
from test_public_api import PUBLIC_MODULES


class Wait(NamedTuple):
    """An operation that has to wait, what ends that, and what it is then awaited for."""

    op: Any
    end: Callable[[], object]
    result: object = None


def nothing() -> None:
    """The wait ends by itself."""


def recv(ch: Chan[int]) -> Wait:
    return Wait(ch.recv(), lambda: ch.try_send(42), 42)


def selecting() -> Wait:
    ch = Chan[int]()
    return Wait(gopark.select(gopark.recv(ch)), lambda: ch.try_send(42), (0, 42, True))


def nocases() -> Wait:
    """It never ends: the channel that the first waiter is released by is another one."""
    ch = Chan[int]()
    return Wait(gopark.select(gopark.recv(None), gopark.recv(ch)), ch.close, (1, None, False))


def recv_ok() -> Wait:
    ch = Chan[int]()
    return Wait(ch.recv_ok(), lambda: ch.try_send(42), (42, True))


def anext_() -> Wait:
    ch = Chan[int]()
    return Wait(aiter(ch).__anext__(), lambda: ch.try_send(42), 42)


def send() -> Wait:
    ch = Chan[int]()

    def end() -> None:
        assert ch.try_recv() == (42, True, True)
        assert ch.try_recv() == (None, False, False)

    return Wait(ch.send(42), end)


def locked(make: Callable[[Any], Any]) -> Wait:
    mu = Mutex()
    mu.try_lock()
    return Wait(make(mu), mu.unlock)


def writing(make: Callable[[RWMutex], Any]) -> Wait:
    rw = RWMutex()
    rw.try_lock()
    return Wait(make(rw), rw.unlock)


def reading(make: Callable[[RWMutex], Any]) -> Wait:
    rw = RWMutex()
    rw.try_rlock()
    return Wait(make(rw), rw.runlock)


def cond() -> Wait:
    cond = Cond(Mutex())
    cond.locker.try_lock()
    return Wait(cond.wait(), cond.signal)


def waitgroup(make: Callable[[WaitGroup], Any]) -> Wait:
    wg = WaitGroup()
    wg.add(1)
    return Wait(make(wg), wg.done)


def group(make: Callable[[errgroup.Group], Any]) -> Wait:
    g, ch = errgroup.Group(), Chan[None]()
    g.go(ch.recv)
    return Wait(make(g), ch.close)


def started() -> Wait:
    g, ch = errgroup.Group(limit=1), Chan[None]()
    g.go(ch.recv)
    return Wait(g.go(ch.recv).started(), ch.close)


def weighted(make: Callable[[semaphore.Weighted], Any]) -> Wait:
    sem = semaphore.Weighted(1)
    sem.try_acquire(1)
    return Wait(make(sem), lambda: sem.release(1))


def once() -> Wait:
    ch = Chan[None]()
    return Wait(Once().do(ch.recv), ch.close)


def once_value() -> Wait:
    ch = Chan[int]()
    return Wait(gopark.sync.once_value(ch.recv)(), lambda: ch.try_send(42), 42)


def flight() -> Wait:
    ch = Chan[int]()
    do = singleflight.Group().do
    return Wait(do("key", ch.recv), lambda: ch.try_send(42), (42, False))


def future() -> Wait:
    fut = Future[int]()
    return Wait(gopark.future.wait(fut), lambda: fut.set_result(42), 42)


def gathered() -> Wait:
    ch = Chan[int]()
    return Wait(gopark.gather(ch.recv()), lambda: ch.try_send(42), (42,))


def all_parked() -> Wait:
    """A goroutine that is on a thread of its own keeps it waiting."""
    event = threading.Event()
    gopark.go(event.wait)
    return Wait(wait_all_parked(), event.set)


def leaks(look: Callable[[leak.Option], Any]) -> Wait:
    ch, known = Chan[None](), leak.ignore_current()
    gopark.go(ch.recv)
    return Wait(look(known), ch.close)


OPS: dict[str, Callable[[], Wait]] = {
    "gopark.Chan.recv": lambda: recv(Chan()),
    "gopark.Chan.recv_ok": recv_ok,
    "gopark.Chan.send": send,
    "gopark.future.wait": future,
    "gopark.gather": gathered,
    "gopark.gosched": lambda: Wait(gopark.gosched(), nothing),
    "gopark.select": selecting,
    "gopark.sync.Cond.wait": cond,
    "gopark.sync.Locker.lock": lambda: writing(lambda rw: rw.reader().lock()),
    "gopark.sync.Mutex.__aenter__": lambda: locked(Mutex.__aenter__),
    "gopark.sync.Mutex.lock": lambda: locked(Mutex.lock),
    "gopark.sync.Once.do": once,
    "gopark.sync.RWMutex.__aenter__": lambda: reading(RWMutex.__aenter__),
    "gopark.sync.RWMutex.lock": lambda: reading(RWMutex.lock),
    "gopark.sync.RWMutex.rlock": lambda: writing(RWMutex.rlock),
    "gopark.sync.WaitGroup.__aexit__": lambda: waitgroup(lambda wg: wg.__aexit__(None, None, None)),
    "gopark.sync.WaitGroup.wait": lambda: waitgroup(WaitGroup.wait),
    "gopark.sync.errgroup.Group.__aexit__": lambda: group(lambda g: g.__aexit__(None, None, None)),
    "gopark.sync.errgroup.Group.wait": lambda: group(errgroup.Group.wait),
    "gopark.sync.errgroup.Task.started": started,
    "gopark.sync.semaphore.Weighted.__aenter__": lambda: weighted(semaphore.Weighted.__aenter__),
    "gopark.sync.semaphore.Weighted.acquire": lambda: weighted(lambda sem: sem.acquire(1)),
    "gopark.sync.singleflight.Group.do": flight,
    "gopark.testing.leak.find": lambda: leaks(leak.find),
    "gopark.testing.leak.verify_none": lambda: leaks(leak.verify_none),
    "gopark.testing.wait_all_parked": all_parked,
    "gopark.time.sleep": lambda: Wait(gopark.time.sleep(0.02), nothing),
}
MORE: dict[str, Callable[[], Wait]] = {
    "ctx.done().recv": lambda: done("recv", None),
    "ctx.done().recv_ok": lambda: done("recv_ok", (None, False)),
    "timer.c.recv_ok": lambda: Wait(gopark.time.Timer(0.02).c.recv_ok(), nothing, ...),
    "select of None": nocases,
    "async for": anext_,
    "once_value": once_value,
    "reader lock": lambda: writing(lambda rw: rw.reader().lock()),
    "reader block": lambda: writing(lambda rw: rw.reader().__aenter__()),
    "writer after a writer": lambda: writing(RWMutex.lock),
    "lock behind a reader": lambda: reading(RWMutex.lock),
    "an async def of a user": lambda: wrapped(recv(Chan())),
}
# What no other goroutine can meet in the midst of a wait.
NOWAIT = {
    "gopark.context.scope.__aenter__",
    "gopark.context.scope.__aexit__",
    "gopark.context.shield.__aenter__",
    "gopark.context.shield.__aexit__",
    "gopark.timeout.__aenter__",
    "gopark.timeout.__aexit__",
    "gopark.sync.Mutex.__aexit__",
    "gopark.sync.RWMutex.__aexit__",
    "gopark.sync.WaitGroup.__aenter__",
    "gopark.sync.errgroup.Group.__aenter__",
    "gopark.sync.semaphore.Weighted.__aexit__",
}
# Built of these; of those that wait themselves see tests/net/test_fd.py.
ABOVE = (
    *("gopark.asyncio", "gopark.exec", "gopark.http", "gopark.net", "gopark.tls"),
    "gopark.workqueue",
)
BUBBLED = {"gopark.testing.synctest.sleep", "gopark.testing.synctest.wait"}  # see below


def done(name: str, result: object) -> Wait:
    ctx, cancel = gopark.context.with_cancel(gopark.context.background())
    return Wait(getattr(ctx.done(), name)(), cancel, result)


def wrapped(wait: Wait) -> Wait:
    async def users() -> object:
        return await wait.op

    return wait._replace(op=users())


def waits(fn: object) -> bool:
    """The function returns what can be awaited."""
    result = str(getattr(fn, "__annotations__", {}).get("return", ""))
    inner = inspect.unwrap(fn) if callable(fn) else fn  # a bubble has put some in their place
    return inspect.iscoroutinefunction(inner) or result.startswith(("Awaitable", "Coroutine"))


def public_operations() -> set[str]:
    found = set()
    for module in map(importlib.import_module, {*PUBLIC_MODULES} - {*ABOVE}):
        for name in module.__all__:
            value = getattr(module, name)
            where = f"{module.__name__}.{name}"
            if waits(value):
                found.add(where)
            if inspect.isclass(value):
                members = {attr: fn for c in value.__mro__ for attr, fn in vars(c).items()}
                found |= {
                    f"{where}.{attr}"
                    for attr, fn in members.items()
                    if waits(fn) and (not attr.startswith("_") or attr.startswith("__"))
                }
    return found


def test_every_public_operation_is_in_the_table():
    assert public_operations() == OPS.keys() | NOWAIT | BUBBLED


async def await_it(op: Any) -> object:
    return await op


def block_it(op: Any) -> object:
    return gopark.block(op)


def go_it(op: Any) -> Any:
    return op  # the goroutine goes on as it: as a decorated `async def` does


async def refused(op: Any, how: Callable[[Any], Any]) -> BaseException:
    """The error that a second waiter gets."""
    while True:
        group = errgroup.Group()
        group.go(how, op)
        with pytest.raises((RuntimeError, ValueError)) as info:
            await group.wait()
        if isinstance(info.value, RuntimeError):
            return info.value
        # Without a GIL Python itself finds the first amid a step: it is not in its wait now.
        assert "already executing" in str(info.value)


async def asleep(op: Any) -> bool:
    """Return when the first waiter is in its wait; False if that is over already."""
    while not op.cr_suspended:
        if op.cr_frame is None and not isinstance(op, operations):
            return False
        await gopark.gosched()
    return True


def outside(name: str) -> bool:
    return name == "gopark.testing.wait_all_parked"


@pytest.mark.parametrize("how", [await_it, block_it, go_it])
@pytest.mark.parametrize("name", [*OPS, *MORE])
def test_a_second_waiter_is_refused_and_the_first_gets_what_it_waits_for(run, name, how):
    async def main() -> None:
        wait = {**OPS, **MORE}[name]()
        group = errgroup.Group()
        first = group.go(await_it, wait.op)
        await asleep(wait.op)
        if wait.end is not nothing:
            for _ in range(3):
                assert "being awaited already" in str(await refused(wait.op, how))
            assert wait.op.cr_suspended
        wait.end()
        await group.wait()
        assert wait.result in (..., first.result())
        assert "cannot reuse" in str(await refused(wait.op, how))

    run(main, outside_help=outside(name))


@pytest.mark.parametrize("how", [await_it, block_it, go_it])
@pytest.mark.parametrize("name", ["gopark.time.sleep", "timer.c.recv_ok"])
def test_of_two_waiters_of_a_wait_that_ends_by_itself_one_is_refused(run, procs, name, how):
    of_two_one_is_refused(run, name, how)


@pytest.mark.parametrize("how", [await_it, block_it, go_it])
def test_of_two_waiters_of_a_turn_one_is_refused(run, how):
    before = gopark.runtime.gomaxprocs(1)  # or it may be over before the other has looked
    try:
        of_two_one_is_refused(run, "gopark.gosched", how)
    finally:
        gopark.runtime.gomaxprocs(before)


def of_two_one_is_refused(run, name, how):
    """The second comes while the first is in its wait; on a busy machine not at the first try."""

    async def main() -> None:
        while not await tried():
            pass

    async def tried() -> bool:
        wait, came = {**OPS, **MORE}[name](), Chan[object](2)
        missed = []

        async def one() -> None:
            try:
                await came.send(await wait.op)
            except RuntimeError as exc:
                await came.send(exc)

        async def other() -> None:
            if not await asleep(wait.op):
                missed.append(True)
            try:
                result = how(wait.op)
                await came.send(await result if inspect.isawaitable(result) else result)
            except RuntimeError as exc:
                await came.send(exc)

        gopark.go(other)
        gopark.go(one)
        got = [await came.recv(), await came.recv()]
        assert sum(isinstance(value, RuntimeError) for value in got) == 1 or missed, got
        return not missed

    run(main)


@pytest.mark.parametrize("name", sorted(BUBBLED))
def test_in_a_bubble(name):
    async def main() -> None:
        # The bubble is not idle, and its clock stands, while this goroutine has its turns.
        op = {"sleep": lambda: synctest.sleep(1), "wait": synctest.wait}[name.split(".")[-1]]()
        group = errgroup.Group()
        group.go(await_it, op)
        await asleep(op)
        for how in (await_it, go_it):
            assert "being awaited already" in str(await refused(op, how))
        await group.wait()

    synctest.test(main)


if hasattr(inspect, "markcoroutinefunction"):  # since 3.12

    async def test_go_refuses_one_in_use_that_a_marked_function_returns():
        ch = Chan[int]()
        op = ch.recv()
        gopark.go(await_it, op)
        await asleep(op)
        with pytest.raises(RuntimeError, match="being awaited already"):
            gopark.go(inspect.markcoroutinefunction(lambda: op))
        ch.close()


async def test_what_ends_a_wait_from_outside_reaches_the_operation():
    """`throw` and `close` go to the operation, whatever Python takes for what it awaits."""
    for make in (Chan().recv, Chan().recv_ok, functools.partial(Chan().send, 1)):
        for way in ("close", "throw"):
            op = make()
            gopark.go(await_it, op)
            await asleep(op)
            await wait_all_parked()
            (g,) = (g for g in allgs if g.status is GWAITING and g.coro.cr_await is op)
            assert g.waiting.unwait(g)
            if way == "close":
                g.coro.close()
            else:
                with pytest.raises(ZeroDivisionError):
                    g.coro.throw(ZeroDivisionError())
            assert not op.cr_suspended
            assert op.cr_frame is None
            forget(g)


def forget(g: G) -> None:
    allgs.discard(g)
    g.status = GDEAD
    g.clear()


async def test_an_operation_awaits_nothing_that_a_dump_could_show():
    ch = Chan[int]()
    op = ch.recv()
    gopark.go(await_it, op)
    await asleep(op)
    assert op.cr_await is None
    assert "await_it(...)" in gopark.runtime.stack(all=True)
    ch.close()


def test_a_yield_in_another_form_is_refused_when_the_module_is_loaded():
    def bare():
        yield PARK

    def half():
        _ = None is (yield PARK)

    for fn in (bare, half):
        fn.__annotations__["return"] = "Generator[Command, None, None]"
        with pytest.raises(TypeError, match="yield as in"):
            suspends(fn)


def made(known: bool, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[object]], Any]:
    marked = suspend._awaiting
    monkeypatch.setattr(suspend, "_awaiting", lambda code: marked(code, known))

    @suspends
    def op(
        seen: list[object], more: object = 1, *, last: object = 2
    ) -> Generator[Command, None, tuple[object, object]]:
        try:
            _ = None is (None is (yield PARK))
        except BaseException as exc:
            seen.append(type(exc))
            raise
        return more, last

    return op


@pytest.fixture(params=[True, False], ids=["known", "unknown"])
def op(request, monkeypatch):
    """An operation as it is made here, and as on an interpreter that is not known."""

    # As from a module with `from __future__ import annotations`.
    return made(request.param, monkeypatch)


def test_it_is_a_coroutine_with_the_name_and_signature_of_the_function(op):
    assert inspect.iscoroutinefunction(op)
    assert op.__qualname__.endswith("made.<locals>.op")
    assert str(inspect.signature(op)).startswith("(seen: 'list[object]', more: 'object' = 1, *,")
    coro = op([])
    assert type(coro) is types.CoroutineType
    coro.close()


def test_it_yields_and_returns(op):
    coro = op([], 3, last=4)
    assert coro.send(None) is PARK
    with pytest.raises(StopIteration) as info:
        coro.send(None)
    assert info.value.value == (3, 4)


@pytest.mark.parametrize("known", [True, False])
def test_one_that_ends_with_its_wait_returns_none(known, monkeypatch):
    marked = suspend._awaiting
    monkeypatch.setattr(suspend, "_awaiting", lambda code: marked(code, known))

    @suspends
    def last() -> Generator[Command, None, None]:
        _ = None is (None is (yield PARK))

    @suspends
    def twice(more: bool) -> Generator[Command, None, str]:
        _ = None is (None is (yield PARK))
        if more:
            _ = None is (None is (yield PARK))
        return "end"

    assert outcome(last()) == (1, None)
    assert outcome(twice(False)) == (1, "end")
    assert outcome(twice(True)) == (2, "end")


def outcome(coro: Any) -> tuple[int, object]:
    """How often it parked, whatever it is woken with, and what it returned."""
    parked, sent = 0, None
    while True:
        try:
            assert coro.send(sent) is PARK
        except StopIteration as end:
            return parked, end.value
        parked, sent = parked + 1, "anything"


def test_it_has_one_waiter(op):
    coro = op([])
    one, two = await_it(coro), await_it(coro)
    assert one.send(None) is PARK
    with pytest.raises(RuntimeError, match="being awaited already"):
        two.send(None)
    with pytest.raises(StopIteration) as info:
        one.send(None)
    assert info.value.value == (1, 2)


@pytest.mark.parametrize("end", ["close", "throw", "delete"])
def test_it_ends_by_an_exception_once(op, end):
    seen: list[object] = []
    coro = op(seen)
    outer = await_it(coro)
    outer.send(None)
    if end == "throw":
        with pytest.raises(ZeroDivisionError):
            outer.throw(ZeroDivisionError())
    elif end == "close":
        outer.close()
    del outer, coro
    gc.collect()
    assert seen == [ZeroDivisionError if end == "throw" else GeneratorExit]


def test_one_that_is_never_awaited_says_so(op):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        op([])
        gc.collect()
    assert "was never awaited" in str(caught[0].message)
