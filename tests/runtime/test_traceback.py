"""Stacks and counts: Go's printed form for goroutines of every kind, in every state."""

from __future__ import annotations

import ctypes
import functools
import gc
import io
import sys
import threading
import time
import weakref

import pytest

import gopark
from dumps import goroutines, lineof
from gopark import Chan, recv, select
from gopark._debug import _api, _graph, _look
from gopark._runtime.base import runtime2
from gopark._runtime.report import traceback
from gopark._runtime.sched.panic import runningpanicdefers
from gopark._runtime.sched.snapshot import snapshot
from gopark._runtime.sched.startm import current
from gopark.testing import _leak, wait_all_parked

FREE_THREADED = hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled()


def find(text, what):
    """The one goroutine of a dump in that state."""
    found = [g for g in goroutines(text) if g[1] == what]
    assert len(found) == 1, text
    return found[0]


# --- counts -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("procs")
async def test_num_goroutine_counts_main_and_each_goroutine_until_it_ends():
    """Go: runtime.NumGoroutine."""
    assert gopark.runtime.num_goroutine() == 1
    ch, done = Chan(), Chan()

    async def worker():
        await ch.recv()
        await done.send(None)

    for n in range(10):
        gopark.go(worker)
        assert gopark.runtime.num_goroutine() == n + 2
    ch.close()
    for _ in range(10):
        await done.recv()
    await wait_all_parked()
    assert gopark.runtime.num_goroutine() == 1


async def test_plain_goroutines_count_in_every_state():
    gate, event = Chan(), threading.Event()
    gopark.go(lambda: gopark.block(gate.recv()))
    gopark.go(lambda: gopark.cgo.call(event.wait))
    assert gopark.runtime.num_goroutine() == 3
    for _ in range(5):
        await gopark.gosched()
        assert gopark.runtime.num_goroutine() == 3
    event.set()
    gate.close()
    await wait_all_parked()
    assert gopark.runtime.num_goroutine() == 1


def test_outside_a_program_there_is_no_goroutine():
    assert gopark.runtime.num_goroutine() == 0
    assert gopark.runtime.stack() == ""
    assert gopark.runtime.stack(all=True) == ""


@pytest.mark.usefixtures("procs")
async def test_the_headers_of_a_dump_agree_with_the_count():
    for n in range(1, 20):
        gopark.go(Chan().recv)
        await wait_all_parked()
        dump = gopark.runtime.stack(all=True)
        assert len(goroutines(dump)) == gopark.runtime.num_goroutine() == n + 1


# --- the three kinds of goroutine -------------------------------------------------------------


async def inner(ch):
    await ch.recv()  # inner waits here


async def middle(ch):
    await inner(ch)  # middle waits here


async def outer(ch):
    await middle(ch)  # outer waits here


async def test_a_parked_coroutine_shows_its_whole_chain_of_awaits():
    ch = Chan()
    gopark.go(outer, ch)  # created here
    await wait_all_parked()
    text = gopark.runtime.stack(all=True)
    _, _, minutes, locked, functions, creator, _ = find(text, "chan receive")
    assert functions == ["inner", "middle", "outer"]
    assert (minutes, locked) == (None, False)
    here = test_a_parked_coroutine_shows_its_whole_chain_of_awaits
    assert creator == f"created by {__name__}.{here.__name__} in goroutine 1"
    parked = text.split("\n\n")[1]
    for fn, marker in [
        (inner, "# inner waits"),
        (middle, "# middle waits"),
        (outer, "# outer waits"),
    ]:
        assert f"{__name__}.{fn.__name__}(...)\n\t{__file__}:{lineof(fn, marker)}\n" in parked
    assert parked.endswith(f"\n\t{__file__}:{lineof(here, '# created')}\n")


async def test_the_chain_goes_through_async_for_async_with_and_generators():
    ch = Chan()

    class Manager:
        async def __aenter__(self):
            await ch.recv()

        async def __aexit__(self, *exc):
            pass

    async def agen():
        async for value in ch:
            yield value

    async def through_async_with():
        async with Manager():
            pass

    async def through_async_for():
        async for _ in agen():
            pass

    gopark.go(through_async_with)
    gopark.go(through_async_for)
    await wait_all_parked()
    stacks = [g[4] for g in goroutines(gopark.runtime.stack(all=True))[1:]]
    assert stacks == [["__aenter__", "through_async_with"], ["agen", "through_async_for"]]


async def test_a_parked_plain_goroutine_shows_its_frames():
    ch = Chan()

    def deepest():
        gopark.block(outer(ch))

    def plain():
        deepest()

    gopark.go(plain)
    await wait_all_parked()
    text = gopark.runtime.stack(all=True)
    _, _, _, locked, functions, creator, _ = find(text, "chan receive")
    assert functions == ["inner", "middle", "outer", "deepest", "plain"]
    assert not locked  # it sits on a thread, but nobody called lock_os_thread
    assert creator.endswith(" in goroutine 1")
    ch.close()
    await wait_all_parked()


async def test_a_plain_goroutine_in_c_shows_as_syscall():
    event = threading.Event()

    def in_c():
        gopark.cgo.call(event.wait)

    gopark.go(in_c)
    while "[syscall]" not in gopark.runtime.stack(all=True):
        await gopark.gosched()
    text = gopark.runtime.stack(all=True)
    functions = find(text, "syscall")[4]
    assert functions[-1] == "in_c"
    event.set()
    await wait_all_parked()


@pytest.mark.outside_help
async def test_a_callback_from_c_shows_as_a_goroutine_locked_to_its_thread(cthread):
    """Seen in Go: a blocked callback shows [chan receive, locked to thread] and no creator."""
    ch, inside = Chan(), Chan(1)

    async def waits(_):
        inside.try_send(None)
        await outer(ch)

    def calls_block(_):
        inside.try_send(None)
        gopark.block(outer(ch))

    for fn, frames in ((waits, ["waits"]), (calls_block, ["calls_block"])):
        thread = cthread(gopark.cgo.callback(fn))
        await inside.recv()
        await wait_all_parked()
        text = gopark.runtime.stack(all=True)
        _, _, _, locked, functions, creator, _ = find(text, "chan receive")
        assert functions == ["inner", "middle", "outer", *frames]
        assert locked
        assert creator is None
        assert gopark.runtime.num_goroutine() == 2
        await ch.send(None)
        thread.join()
        assert len(goroutines(gopark.runtime.stack(all=True))) == 1
        assert gopark.runtime.num_goroutine() == 1


@pytest.mark.outside_help
async def test_a_callback_finds_itself_first_in_its_dump(cthread):
    """Go: testprogcgo NumGoroutine, the seed's program."""
    dumps = []

    def callback_of_c(_):
        dumps.append((gopark.runtime.num_goroutine(), gopark.runtime.stack(all=True)))

    assert gopark.runtime.stack(all=True).count("goroutine ") == 1
    thread = cthread(gopark.cgo.callback(callback_of_c))
    thread.join()
    count, text = dumps[0]
    assert count == 2
    first, main = goroutines(text)
    assert (first[1], first[3], first[4]) == ("running", True, ["callback_of_c"])
    assert main[0] == 1
    assert gopark.runtime.num_goroutine() == 1
    assert len(goroutines(gopark.runtime.stack(all=True))) == 1


async def test_a_nested_callback_is_part_of_its_goroutine(qsort):
    counts, dumps = [], []

    def compare(a, b):
        counts.append(gopark.runtime.num_goroutine())
        dumps.append(gopark.runtime.stack())
        return a - b

    assert qsort([3, 1, 2], compare) == [1, 2, 3]
    assert set(counts) == {1}
    functions = goroutines(dumps[0])[0][4]
    assert functions[0] == "compare"
    assert functions[-1] == "test_a_nested_callback_is_part_of_its_goroutine"


# --- states -----------------------------------------------------------------------------------


async def test_the_caller_comes_first_and_the_others_in_order_of_their_start():
    for _ in range(5):
        gopark.go(Chan().recv)
    dumps = Chan(1)

    async def last():
        await dumps.send(gopark.runtime.stack(all=True))

    await wait_all_parked()
    gopark.go(last)
    ids = [g[0] for g in goroutines(await dumps.recv())]
    assert ids[0] == max(ids)
    assert ids[1:] == sorted(ids[1:])
    assert len(ids) == 7


async def test_without_all_only_the_caller_shows():
    gopark.go(Chan().recv)
    await wait_all_parked()
    (only,) = goroutines(gopark.runtime.stack())
    assert only[:4] == (1, "running", None, False)
    assert only[4] == ["test_without_all_only_the_caller_shows"]
    assert only[5] is None


async def test_a_runnable_goroutine_shows_where_it_will_begin():
    async def not_begun():
        await gopark.gosched()

    def plain_not_begun():
        pass

    gopark.go(not_begun)
    gopark.go(plain_not_begun)
    text = gopark.runtime.stack(all=True)
    if gopark.runtime.gomaxprocs() == 1:
        assert [(g[1], g[4]) for g in goroutines(text)[1:]] == [
            ("runnable", ["not_begun"]),
            ("runnable", ["plain_not_begun"]),
        ]
    await wait_all_parked()


@pytest.mark.parametrize(
    ("reason", "start"),
    [
        ("chan receive", lambda: Chan().recv),
        ("chan send", lambda: lambda: Chan().send(1)),
        ("select", lambda: lambda: select(recv(Chan()), recv(Chan()))),
        ("select (no cases)", lambda: lambda: select()),
        ("sleep", lambda: lambda: gopark.time.sleep(100)),
    ],
)
async def test_wait_reasons_are_gos_words(reason, start):
    gopark.go(start())
    await wait_all_parked()
    assert goroutines(gopark.runtime.stack(all=True))[1][1] == reason


@pytest.mark.parametrize(("seconds", "minutes"), [(59, None), (61, "1"), (60 * 7 + 1, "7")])
async def test_minutes_waited_show_from_the_first_on(seconds, minutes):
    """Go: goroutine 2 [chan receive, 7 minutes]."""
    gopark.go(Chan().recv)
    await wait_all_parked()
    (waiting,) = [g for g in runtime2.allgs.copy() if g.goid != 1]
    waiting.waitsince -= seconds
    assert find(gopark.runtime.stack(all=True), "chan receive")[2] == minutes


async def test_a_wait_that_has_just_begun_shows_no_minutes_after_a_long_quiet_spell():
    """`waitsince` is the loop's last look at the clock; it must not be one of long ago."""
    sched = runtime2.getg().m.sched
    sched.now -= 3600
    for _ in range(3):
        gopark.go(Chan().recv)
    await wait_all_parked()
    await gopark.time.sleep(0.001)
    gopark.go(Chan().recv)
    await wait_all_parked()
    assert goroutines(gopark.runtime.stack(all=True))[-1][2] is None


async def test_minutes_come_before_locked_to_thread():
    ch = Chan()

    async def locked():
        gopark.runtime.lock_os_thread()
        await ch.recv()

    gopark.go(locked)
    await wait_all_parked()
    (waiting,) = [g for g in runtime2.allgs.copy() if g.goid != 1]
    waiting.waitsince -= 180
    text = gopark.runtime.stack(all=True)
    assert "[chan receive, 3 minutes, locked to thread]:" in text
    assert find(text, "chan receive")[4] == ["locked"]
    ch.close()
    await wait_all_parked()


async def test_lock_os_thread_shows_on_the_running_goroutine():
    gopark.runtime.lock_os_thread()
    assert "goroutine 1 [running, locked to thread]:\n" in gopark.runtime.stack()
    gopark.runtime.unlock_os_thread()
    assert "goroutine 1 [running]:\n" in gopark.runtime.stack()


@pytest.mark.skipif(FREE_THREADED, reason="frames of a running thread cannot be read safely")
async def test_a_goroutine_running_on_another_thread_shows_its_frames(request):
    before = gopark.runtime.gomaxprocs(2)
    request.addfinalizer(lambda: gopark.runtime.gomaxprocs(before))
    started, stop = [], []

    def computes():
        started.append(True)
        while not stop:
            pass

    gopark.go(computes)
    while not started:
        await gopark.gosched()
    text = gopark.runtime.stack(all=True)
    stop.append(True)
    other = goroutines(text)[1]
    assert other[1] == "running"
    assert other[4] == ["computes"]
    await wait_all_parked()


# --- names ------------------------------------------------------------------------------------


async def test_names_are_qualified_without_locals():
    class Server:
        async def serve(self):
            await Chan().recv()

        @staticmethod
        def start():
            gopark.go(Server().serve)

    Server.start()
    await wait_all_parked()
    text = gopark.runtime.stack(all=True)
    here = f"{__name__}.test_names_are_qualified_without_locals.Server"
    assert f"{here}.serve(...)\n" in text
    assert f"created by {here}.start in goroutine 1\n" in text
    assert "<locals>" not in text


def test_a_coroutine_that_has_ended_is_named_with_its_module():
    """Its frame is gone, its goroutine is not yet: another thread sees it so for a moment only."""

    async def ends():
        pass

    g = runtime2.G(0)
    g.clear()
    g.coro = ends()
    g.coro.close()
    ((function, file, line),) = traceback.startframe(g)
    assert function == f"{__name__}.{ends.__qualname__}".replace(".<locals>", "")
    assert (file, line) == (__file__, ends.__code__.co_firstlineno)


async def test_created_by_names_the_goroutine_that_did_it_not_main():
    ids = Chan(1)

    async def parent():
        gopark.go(Chan().recv)
        await ids.send(runtime2.getg().goid)
        await Chan().recv()

    gopark.go(parent)
    goid = await ids.recv()
    await wait_all_parked()
    creators = [g[5] for g in goroutines(gopark.runtime.stack(all=True))]
    assert creators[0] is None
    assert creators[1].endswith(" in goroutine 1")
    assert creators[2].endswith(f".parent in goroutine {goid}")


def test_a_goroutine_started_outside_any_has_no_parent():
    dumps, event = [], threading.Event()

    async def worker():
        dumps.append(gopark.runtime.stack())
        event.set()

    gopark.go(worker)
    assert event.wait(120)
    (only,) = goroutines(dumps[0])
    assert only[5] == f"created by {__name__}.test_a_goroutine_started_outside_any_has_no_parent"


async def test_main_prints_as_main(child):
    """Go's package main: the module `__main__`."""
    done = Chan(1)

    def plain():
        done.try_send(
            child(
                "import gopark\n"
                "async def work(ch):\n"
                "    await ch.recv()\n"
                "async def main():\n"
                "    ch = gopark.Chan()\n"
                "    gopark.go(work, ch)\n"
                "    await gopark.testing.wait_all_parked()\n"
                "    print(gopark.runtime.stack(all=True), end='')\n"
                "gopark.run(main)\n"
            )
        )

    gopark.go(plain)
    result = await done.recv()
    file = result.args[1]
    assert result.stderr == ""
    assert result.stdout == (
        "goroutine 1 [running]:\n"
        f"main.main(...)\n\t{file}:8\n"
        "\n"
        "goroutine 2 [chan receive]:\n"
        f"main.work(...)\n\t{file}:3\n"
        f"created by main.main in goroutine 1\n\t{file}:6\n"
    )


async def test_the_runtimes_own_frames_do_not_show():
    async def waits(wait):
        await wait()

    gopark.go(waits, Chan().recv)
    gopark.go(waits, lambda: select(recv(Chan())))
    gopark.go(waits, lambda: gopark.time.sleep(100))
    await wait_all_parked()
    text = gopark.runtime.stack(all=True)
    package = gopark.__file__.removesuffix("__init__.py")
    assert package not in text


@pytest.mark.usefixtures("procs")
async def test_dumps_taken_while_goroutines_come_and_go_are_well_formed():
    stop, done = [], Chan()

    async def short(n):
        for _ in range(n % 3):
            await gopark.gosched()

    async def churn():
        n = 0
        while not stop:
            n += 1
            gopark.go(short, n)
            await gopark.gosched()
        await done.send(None)

    for _ in range(3):
        gopark.go(churn)
    for _ in range(50):
        await gopark.gosched()
        parsed = goroutines(gopark.runtime.stack(all=True))
        assert parsed[0][:2] == (1, "running")
        assert len({g[0] for g in parsed}) == len(parsed)
        assert len(parsed) >= 4
    stop.append(True)
    for _ in range(3):
        await done.recv()


async def test_a_goroutine_that_runs_one_of_our_own_functions_shows_that():
    """A header without a frame would be unreadable for Go's dump parsers."""
    ch = Chan()
    gopark.go(ch.recv)
    await gopark.testing.wait_all_parked()
    dump = gopark.runtime.stack(all=True).split("\n\n")[1].splitlines()
    assert dump[0].endswith("[chan receive]:")
    assert dump[1] == "gopark.Chan.recv(...)"
    assert dump[3].startswith("created by ")
    ch.close()


# --- who looks, and what that leaves ----------------------------------------------------------


class Big:
    """Something in a local of the function that looks."""


def whilehandled():
    try:
        raise ValueError("on the way")
    except ValueError:
        gopark.debug.stack()


LOOKS = {
    "stack": lambda: gopark.runtime.stack(all=True),
    "debug.stack": gopark.debug.stack,
    "debug.stack, handling": whilehandled,
    **{
        f"{name} {debug}": lambda name=name, debug=debug: gopark.pprof.lookup(name).write_to(
            io.BytesIO(), debug
        )
        for name in ("goroutine", "threadcreate", "goroutineleak")
        for debug in (0, 1, 2)
    },
    "leaks": gopark.debug.leaks,
    "top": snapshot,
    "page": _look.look,
    "graph": _graph.graph,
    "one": lambda: _api.ANSWERS["goroutine.json"](None, {"id": "1"}),
    "unexpected": lambda: _leak.unexpected(()),
    "unwinding": lambda: runningpanicdefers(current()),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
async def test_a_look_keeps_nothing_alive_of_who_looks(look):
    """Stacks in a local are a cycle with its frame, unless that is left out of them."""
    gopark.go(Chan().recv)
    gopark.go(lambda: gopark.block(Chan().recv()))
    await wait_all_parked()

    def looks():
        big = Big()
        look()
        return weakref.ref(big)

    look()  # the first time may import something
    gc.collect()
    gc.disable()
    try:
        assert looks()() is None
    finally:
        gc.enable()


async def test_a_search_for_leftovers_keeps_nothing_alive_of_who_looks():
    async def looks():
        big = Big()
        await gopark.testing.leak.find()
        return weakref.ref(big)

    gc.disable()
    try:
        assert (await looks())() is None
    finally:
        gc.enable()


libc = ctypes.CDLL(None)
held = threading.Lock()

IN_C = {
    "_thread.lock.acquire": (held.acquire,),
    "ctypes.usleep": (libc.usleep, 300_000),
    "gopark.cgo.call": (gopark.cgo.call, held.acquire),
}


STARTERS = {
    "go": gopark.go,
    "WaitGroup": lambda fn, *args: gopark.sync.WaitGroup().go(fn, *args),
    "errgroup": lambda fn, *args: gopark.sync.errgroup.Group().go(fn, *args),
}


@pytest.mark.parametrize("starter", STARTERS)
@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("name", IN_C)
async def test_a_goroutine_in_a_function_of_c_has_a_frame(name, partial, starter):
    """And sysmon takes its P, though such a function cannot be hashed."""
    fn, *args = IN_C[name]
    held.acquire()
    try:
        if partial:
            STARTERS[starter](functools.partial(fn, *args))
        else:
            STARTERS[starter](fn, *args)
        await gopark.gosched()
        (parsed,) = goroutines(gopark.runtime.stack(all=True).partition("\n\n")[2])
    finally:
        held.release()
    assert [frame.function for frame in parsed.frames] == [name]
    assert (parsed.frames[0].file == "<built-in>") == (not name.startswith("gopark"))
    await wait_all_parked()
    held.acquire(False)
    held.release()


async def test_a_goroutine_that_has_not_begun_has_a_frame():
    gopark.go(libc.usleep, 1)
    gopark.go(functools.partial(functools.partial(int), "1"))
    seen = goroutines(gopark.runtime.stack(all=True))[1:]
    if not FREE_THREADED:
        assert [g.frames[0].function for g in seen] == ["ctypes.usleep", "builtins.int"]


@pytest.mark.parametrize("starter", STARTERS)
@pytest.mark.parametrize("partial", [False, True])
async def test_a_function_of_c_that_others_wait_for_can_be_shown_before_it_begins(
    starter, partial, capsys
):
    fn = functools.partial(print, "x") if partial else print
    STARTERS[starter](fn)
    (seen,) = goroutines(gopark.runtime.stack(all=True))[1:]
    if not FREE_THREADED:
        assert [frame.function for frame in seen.frames] == ["builtins.print"]
    await wait_all_parked()


class Remote:
    """Has whatever it is asked for, as xmlrpc.client.ServerProxy has."""

    def __getattr__(self, name):
        return Remote()

    def __call__(self):
        pass


async def test_an_object_that_has_every_attribute_can_be_shown_before_it_begins():
    for _ in range(100):  # another thread may come first, and run one of them
        gopark.go(Remote().method)
        gopark.sync.WaitGroup().go(Remote().method)
        seen = goroutines(gopark.runtime.stack(all=True))[1:]
        await wait_all_parked()
        if len(seen) == 2:
            break
    assert len(seen) == 2
    if not FREE_THREADED:
        assert [g.frames[0].function.rpartition(".")[2] for g in seen] == ["Remote"] * 2


@pytest.mark.skipif(FREE_THREADED, reason="such stacks cannot be read")
async def test_a_callback_that_is_a_function_of_c_has_a_frame():
    held.acquire()
    callback = ctypes.CFUNCTYPE(None)(gopark.cgo.callback(held.acquire))
    thread = threading.Thread(target=callback)
    try:
        thread.start()
        while gopark.runtime.num_goroutine() < 2:
            await gopark.time.sleep(0.001)
        parsed = goroutines(gopark.runtime.stack(all=True))[1]
    finally:
        held.release()
        thread.join()
        held.release()
    assert [frame.function for frame in parsed.frames] == ["_thread.lock.acquire"]


def test_a_panic_in_a_function_of_c_names_it(run, capsys):
    async def main():
        gopark.go(time.sleep, "no number")
        await Chan().recv()

    with pytest.raises(gopark.FatalError):
        run(main)
    parsed = goroutines(capsys.readouterr().err.partition("\n\n")[2])[0]
    assert parsed.frames == [("time.sleep", "<built-in>", 0)]
