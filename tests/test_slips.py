"""Slips: every public function, called with what it does not take.

Found by introspection: for each parameter with an annotation there are values that are none of
that. The error is a TypeError (a ValueError for a number out of range), says which function was
called and with what, and nothing has been started or is waited for.
"""

from __future__ import annotations

import ast
import copy
import ctypes
import functools
import importlib
import inspect
import io
import math
import pathlib
import pickle
import tempfile
import types

import pytest

import gopark
from gopark import cgo, context, pprof, sync, trace, workqueue
from gopark.sync import atomic, errgroup, semaphore, singleflight

MODULES = (
    *("gopark", "cgo", "context", "debug", "metrics", "pprof", "runtime", "signal", "sync"),
    *("sync.atomic", "sync.errgroup", "sync.semaphore", "sync.singleflight", "testing"),
    *("testing.leak", "testing.synctest", "time", "trace"),
)
NAN, INF = float("nan"), float("inf")
HUGE = 10**400  # more than a float can hold
BIG = 10**5000  # more than Python turns into text
THING = object()


class Mute:
    """What cannot say what it is."""

    def __repr__(self):
        raise ZeroDivisionError


MUTE = Mute()

# What a parameter of that annotation takes, and what it does not.
WRONG = {
    "int": (None, "x", THING, 1.5, NAN, INF),
    "int | None": ("x", THING, 1.5, NAN),
    "float": (None, "x", THING, True),
    "float | None": ("x", THING, True),
    "bool": (),  # anything has a truth
    "str": (None, 1, THING, b"x"),
    "Context": (None, 1, "x", THING),
    "context.Context": (None, 1, "x", THING),
    "Context | None": (1, "x", THING),
    "LabelSet": (None, 1, "x", THING),
    "Option": (None, 1, "x", THING),
    "Channel": (None, 1, "x", THING),
    "Chan[T] | None": (1, "x", THING),
    "Case": (1, "x", THING, None),
    "File": (None, 1, THING),
    "IO[Any]": (None, 1, "x", THING),
    "HasFileno | int | None": ("x", THING, 1.5),
    "str | os.PathLike[str] | None": (1, THING),
    "Iterable[str]": (1, None, THING),
    "Iterable[Sample]": (1, None, THING),
    "Iterable[Task[T]]": (1, None, THING),
    "Awaitable[Any]": (None, 1, "x", THING),
    "BaseException | None": (1, "x", THING),
    "PanicHandler | None": (1, "x", THING),
    "Awaitable[T]": (None, 1, "x", THING),
    "L": (None, 1, "x", THING),
    "Callable[..., object]": (None, 1, "x", THING),
    "Callable[..., object] | None": (1, "x", THING),
    "Callable[[Any], R]": (None, 1, "x", THING, int),
    "Passes": (1, "x", THING, None, (int,)),
    "Restype": (1, "x", THING, int),
    "Hashable": ([],),
}
WRONG = {kind: (*wrong, MUTE) if THING in wrong else wrong for kind, wrong in WRONG.items()}
# Numbers that hardly any function can do something with.
NUMBERS = {
    "int": (-1, 2**63, 2**70, -(2**70), HUGE, BIG, -BIG),
    "int | None": (-1, 2**70, HUGE, BIG, -BIG),
    "float": (NAN, INF, -INF, -1.0, 2**70, HUGE, BIG),
    "float | None": (NAN, INF, -INF, -1.0, 2**70, HUGE, BIG),
}
# Go's own words, which programs that print them share with Go's.
WORDS = (
    "sync: negative WaitGroup counter",
    "non-positive interval for NewTicker",
    "non-positive interval for Ticker.Reset",
    "synctest.wait: goroutine is not in a bubble",
)
# With so much they would wait for ever.
WAITS = [(name, n) for name in ("sleep", "Weighted.acquire") for n in (2**63, 2**70, HUGE, BIG)]
SAME = {
    "Callable[..., Any]": "Callable[..., object]",
    "Callable[P, object]": "Callable[..., object]",
    "Callable[[*Ts], object]": "Callable[..., object]",
    "Callable[P, R]": "Callable[..., object]",
    "Callable[[], Any]": "Callable[..., object]",
    "Callable[[], T] | None": "Callable[..., object] | None",
    "Callable[[], object]": "Callable[..., object]",
    "Callable[[Context], Any]": "Callable[..., object]",
}
ANYTHING = {"object", "Any", "T", "T | None", "K", "V", "P.args", "P.kwargs", "*Ts"}

# What it does take, where that is needed to come to another parameter.
RIGHT = {
    "IO[Any]": io.BytesIO(),
    "Callable[[Any], R]": ctypes.CFUNCTYPE(None),
    "int": 1,
    "float": 60.0,
    "str": "name",
    "Context": context.background(),
    "context.Context": context.background(),
    "LabelSet": pprof.labels("a", "b"),
    "Channel": gopark.Chan(1),
    "Hashable": "key",
    "BaseException | None": None,
    "Callable[..., object]": int,
    "object": None,
    "T": None,
    "K": "key",
    "V": "value",
}

# Made once; what a method of theirs is called on.
ON = {
    "Chan": lambda: gopark.Chan(1),
    "Timer": lambda: gopark.time.Timer(60),
    "Ticker": lambda: gopark.time.Ticker(60),
    "Profile": lambda: pprof.Profile("slips"),
    "WaitGroup": sync.WaitGroup,
    "Once": sync.Once,
    "Map": sync.Map,
    "Weighted": lambda: semaphore.Weighted(5),
    "FlightRecorder": trace.FlightRecorder,
    "gopark.sync.errgroup.Group": errgroup.Group,
    "gopark.sync.singleflight.Group": singleflight.Group,
    **{name: getattr(atomic, name) for name in ("Int32", "Int64", "Uint32", "Uint64", "Bool")},
}
# Classes that gopark makes: `Server(page)` is nothing that a user writes.
MADE = {"Leak", "LogFilter", "Server", "Description", "Histogram", "Kind", "LabelSet", "Profile",
        "Task", "Region", "Option", "Result", "LeakError", "Handle"}  # fmt: skip


def public():
    """Every function, class and method, by its full name."""
    for module in MODULES:
        name = module if module == "gopark" else f"gopark.{module}"
        for attr in importlib.import_module(name).__all__:
            value = getattr(importlib.import_module(name), attr)
            full = f"{name}.{attr}"
            if isinstance(value, types.ModuleType):
                continue
            if not isinstance(value, type):
                yield full, attr, value
                continue
            if issubclass(value, BaseException) or getattr(value, "_is_protocol", False):
                continue
            if attr not in MADE:
                yield full, attr, value
            make = ON.get(full) or ON.get(attr)
            for method in vars(value) if make is not None else ():
                if "Go:" in (getattr(value, method).__doc__ or ""):  # it is documented
                    yield f"{full}.{method}", f"{attr}.{method}", (make, method)


def parameters(target):
    fn = target
    if isinstance(target, tuple):
        fn = getattr(target[0](), target[1])
    return list(inspect.signature(fn).parameters.values())


def annotated(parameter):
    text = str(parameter.annotation)
    return SAME.get(text, text)


def slips(wrongs):
    for full, name, target in public():
        for parameter in parameters(target):
            kind = annotated(parameter)
            for wrong in wrongs.get(kind, ()):
                if (name, wrong) in WAITS or (parameter.name, wrongs) == ("sigs", NUMBERS):
                    continue  # a number that is no signal does nothing, as in Go
                yield pytest.param(
                    name, target, parameter.name, wrong,
                    id=f"{full}-{parameter.name}-{spelt(wrong)}",
                )  # fmt: skip


def spelt(wrong):
    named = {id(THING): "object", id(HUGE): "huge", id(MUTE): "mute", id(BIG): "big"}
    return named.get(id(wrong)) or ("minus big" if wrong == -BIG else repr(wrong))


def told(wrong):
    """How an error tells of it."""
    if wrong is MUTE:
        return object.__repr__(wrong)
    return "an integer of 16,610 bits" if wrong in (BIG, -BIG) else repr(wrong)


def call(target, parameter, wrong):
    """Call it with `wrong` for that parameter, and what is right for those it cannot do without."""
    fn = getattr(target[0](), target[1]) if isinstance(target, tuple) else target
    args, kwargs = [], {}
    for p in parameters(target):
        optional = p.name != parameter and p.default is not p.empty
        value = wrong if p.name == parameter else RIGHT.get(annotated(p))
        if p.kind is p.VAR_POSITIONAL and p.name == parameter:
            args, kwargs = [*args, *kwargs.values(), value], {}
        elif p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) or optional:
            continue
        elif p.kind is p.POSITIONAL_ONLY:
            args.append(value)
        else:
            kwargs[p.name] = value
    if inspect.iscoroutinefunction(fn):
        return gopark.run(fn, *args, **kwargs)
    return fn(*args, **kwargs)


@pytest.mark.parametrize(("name", "target", "parameter", "wrong"), [*slips(WRONG)])
def test_a_wrong_type_is_a_type_error_that_names_function_and_value(name, target, parameter, wrong):
    with pytest.raises(TypeError) as caught:
        call(target, parameter, wrong)
    text = str(caught.value)
    assert told(wrong) in text
    assert name.rpartition(".")[2] in text
    assert gopark.runtime.num_goroutine() == 0


@pytest.fixture
def undone():
    """What such numbers switch on is off again."""
    procs = gopark.runtime.gomaxprocs(0)
    threads = gopark.runtime.set_max_threads(10_000)
    yield
    gopark.runtime.gomaxprocs(procs)
    gopark.runtime.set_max_threads(threads)
    gopark.runtime.set_block_profile_rate(0)
    gopark.runtime.set_mutex_profile_fraction(0)
    pprof.stop_cpu_profile()


@pytest.mark.usefixtures("undone")
@pytest.mark.parametrize(("name", "target", "parameter", "wrong"), [*slips(NUMBERS)])
def test_a_number_out_of_range_is_refused_by_name_or_taken(name, target, parameter, wrong):
    """ValueError; RuntimeError where it is more than there is to give back."""
    try:
        call(target, parameter, wrong)
    except (ValueError, OverflowError, RuntimeError) as exc:
        text = str(exc)
    else:
        assert not isinstance(wrong, float) or math.isfinite(wrong), "no time that would ever come"
        return
    if text in WORDS:
        return
    assert told(wrong) in text or (wrong in (HUGE, BIG) and "more than a float can hold" in text)
    assert name.rpartition(".")[2] in text
    assert gopark.runtime.num_goroutine() == 0


def test_every_annotation_is_known():
    """Or a new parameter would be left out in silence."""
    known = {*WRONG, *SAME, *ANYTHING}
    unknown = {
        f"{full}: {p.name}: {p.annotation}"
        for full, _, target in public()
        for p in parameters(target)
        if str(p.annotation) not in known
    }
    assert unknown == set()


# --- the slips of the issue, word for word ----------------------------------------------------


@pytest.mark.parametrize(
    ("slip", "error", "text"),
    [
        (lambda: gopark.Chan(2**63), ValueError, r"makechan: .*Chan\(9223372036854775808\)"),
        (lambda: gopark.Chan(2**62), ValueError, r"Chan\(4611686018427387904\)"),
        (lambda: gopark.Chan(-1), ValueError, r"makechan: size out of range: Chan\(-1\)"),
        (
            lambda: errgroup.Group(3),
            TypeError,
            r"Group\(\) needs a context, got 3: Group\(limit=3\)",
        ),
        (lambda: gopark.debug.serve(1), TypeError, r"serve\(\) needs a string as addr.*got 1"),
        (lambda: gopark.debug.serve(hosts="name"), TypeError, r"got 'name': hosts=\['name'\]"),
        (lambda: pprof.label(1, "key"), TypeError, r"label\(\) needs a context, got 1"),
        (lambda: pprof.lookup("block").write_to(1), TypeError, r"write_to\(\) .*, got 1"),
        (
            lambda: gopark.run(semaphore.Weighted(1).acquire, 0, 0),
            TypeError,
            r"Weighted.acquire\(\) needs a context, got 0",
        ),
        (lambda: cgo.Handle(None), TypeError, r"Handle\(\) needs .*, got None, which is NULL in C"),
        (lambda: cgo.Handle(1.5), TypeError, r"Handle\(\) needs the number .*, got 1.5"),
        (lambda: gopark.debug.set_crash_output(-1), OSError, r"set_crash_output of -1: Bad file"),
        (lambda: gopark.set_panic_handler(1), TypeError, r"set_panic_handler\(f\), not .*\(f\(x\)"),
        (
            lambda: trace.with_region(context.background(), "name", 1),
            TypeError,
            r"with_region\(ctx, name, f\), not with_region\(ctx, name, f\(x\)\)",
        ),
        (
            lambda: pprof.do(context.background(), pprof.labels("a", "b"), 1),
            TypeError,
            r"pprof.do\(ctx, labels, f\), not pprof.do\(ctx, labels, f\(x\)\)",
        ),
    ],
)
def test_slips_that_were_told_badly(slip, error, text):
    with pytest.raises(error, match=text):
        slip()


# --- copies -----------------------------------------------------------------------------------


async def _workqueue():
    with tempfile.TemporaryDirectory() as folder:
        q = await workqueue.open("slips", f"local:{folder}/q")
        await q.leave()
    return q


async def _delivery():
    with tempfile.TemporaryDirectory() as folder:
        async with await workqueue.open("slips", f"local:{folder}/q") as q:
            await q.send(1)
            d = await q.C.recv()
            await d.ack()
    return d


IDENTITIES = {
    "Chan": gopark.Chan,
    "Chan, full": lambda: [ch := gopark.Chan(1), ch.try_send(1)][0],
    "after": lambda: gopark.time.after(60),
    "tick": lambda: gopark.time.tick(60),
    "Timer": lambda: gopark.time.Timer(60),
    "Timer of after_func": lambda: gopark.time.after_func(60, print),
    "Ticker": lambda: gopark.time.Ticker(60),
    "done": lambda: context.with_cancel(context.background())[0].done(),
    **{
        name: getattr(sync, name)
        for name in ("Mutex", "RWMutex", "Once", "WaitGroup", "Pool", "Map")
    },
    **{name: getattr(atomic, name) for name in atomic.__all__},
    "Weighted": lambda: semaphore.Weighted(1),
    "errgroup.Group": errgroup.Group,
    "timeout": lambda: gopark.timeout(60),
    "scope": lambda: context.scope(context.background()),
    "shield": context.shield,
    "Task": lambda: gopark.Task(print),
    "errgroup.Task": lambda: errgroup.Group(limit=0).go(print),
    "singleflight.Group": singleflight.Group,
    "http.Server": lambda: gopark.http.Server(int.__call__, interface="wsgi"),
    "net.Reader": lambda: gopark.net.Reader(gopark.net.pipe()[0]),
    "workqueue.Queue": lambda: gopark.run(_workqueue),
    "workqueue.DeadLetters": lambda: gopark.run(_workqueue).dead,
    "workqueue.Group": lambda: workqueue.Group(gopark.run(_workqueue)),
    "workqueue.Delivery": lambda: gopark.run(_delivery),
    "Profile": lambda: pprof.lookup("goroutine"),
    "FlightRecorder": trace.FlightRecorder,
    "trace.Task": lambda: trace.new_task(context.background(), "x")[1],
    "Region": lambda: trace.region(context.background(), "x"),
}
HOWS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {n}": functools.partial(pickle.dumps, protocol=n) for n in range(6)},
}


@pytest.mark.parametrize("how", HOWS.values(), ids=HOWS)
@pytest.mark.parametrize("make", IDENTITIES.values(), ids=IDENTITIES)
def test_what_is_known_by_being_itself_is_not_copied(make, how):
    thing = make()
    with pytest.raises(TypeError, match=r"must not be copied.*pass the object itself"):
        how(thing)
    with pytest.raises(TypeError, match="must not be copied"):
        how([{"inside": thing}]) if how is not copy.copy else how(thing)


def test_a_cond_is_not_pickled_and_a_copy_in_use_is_refused_as_in_go():
    """copy.copy alone makes one, for Go's TestCondCopy: tests/conformance/sync."""
    for how in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="must not be copied"):
            how(sync.Cond(sync.Mutex()))


def contexts():
    root = context.background()
    yield root
    yield context.with_cancel(root)[0]
    yield context.with_value(root, "k", "v")
    yield context.with_timeout(root, 60)[0]
    yield context.without_cancel(root)


@pytest.mark.parametrize("ctx", [*contexts()], ids=lambda ctx: type(ctx).__name__)
def test_a_context_is_its_own_copy_and_is_not_pickled(ctx):
    assert copy.copy(ctx) is ctx
    assert copy.deepcopy(ctx) is ctx
    with pytest.raises(TypeError, match="a context belongs to its process"):
        pickle.dumps(ctx)


def test_a_handle_is_its_own_copy_and_is_not_pickled():
    handle = cgo.new_handle("value")
    assert copy.copy(handle) is handle
    assert copy.deepcopy([handle])[0] is handle
    with pytest.raises(TypeError, match=r"cannot pickle Handle"):
        pickle.dumps(handle)
    handle.delete()


def test_errors_say_what_they_were_given_in_one_way():
    """`{value!r}` in a `raise` fails where the value has no text; `shown` does not."""
    package = pathlib.Path(gopark.__file__).parent
    texts = ("_cmd", "_debug", "_fixtures.py", "_plugin.py")  # there it is a text, by its making
    found = []
    for file in sorted(package.rglob("*.py")):
        if file.name in texts or file.parent.name in texts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            for part in ast.walk(node) if isinstance(node, ast.Raise) else ():
                if isinstance(part, ast.FormattedValue) and part.conversion == ord("r"):
                    found.append((file.name, part.lineno, ast.unparse(part.value)))
    names = "__name__", "name", "type(self).__name__"  # of an AttributeError
    assert [one for one in found if one[2] not in names] == []
