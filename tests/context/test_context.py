"""gopark.context: what a context is, its values, how it prints."""

from __future__ import annotations

import copy
import enum
import gc
import math
import pickle
import re
import time

import pytest

from gopark import context
from gopark.context import Context, _format, background


class Plain:
    """A context by its methods alone."""

    def __init__(self, parent):
        self.parent = parent

    def deadline(self):
        return self.parent.deadline()

    def done(self):
        return self.parent.done()

    def err(self):
        return self.parent.err()

    def value(self, key):
        return self.parent.value(key)


class Printed(Plain):
    def __str__(self):
        return "printed"


def with_value(key, value):
    return context.with_value(background(), key, value)


# --- what a context is ------------------------------------------------------------------------


def test_ours_and_those_of_others_are_contexts():
    ours = [
        background(),
        context.todo(),
        with_value(1, 1),
        context.with_cancel(background())[0],
        context.without_cancel(background()),
    ]
    assert all(isinstance(ctx, Context) for ctx in [*ours, Plain(background())])
    assert not isinstance(context.with_cancel(background()), Context)
    assert not isinstance(object(), Context)


def test_the_roots_are_two_and_always_the_same():
    assert background() is background()
    assert context.todo() is context.todo()
    assert background() is not context.todo()


def test_a_root_has_nothing():
    for root in (background(), context.todo()):
        assert (root.deadline(), root.done(), root.err(), root.value("key")) == (None,) * 4


def test_a_class_that_derives_from_context_has_to_be_complete():
    class Half(Context):
        def err(self):
            return None

    with pytest.raises(TypeError, match=r"abstract.*deadline.*done.*value"):
        Half()


def test_a_copy_of_what_refers_to_a_context_refers_to_it():
    ctx, cancel = context.with_cancel(background())
    for one in (ctx, background(), with_value("key", ctx)):
        assert copy.copy(one) is one
        assert copy.deepcopy({"ctx": one})["ctx"] is one
    cancel()
    with pytest.raises(TypeError, match=r"^cannot pickle context\.Background\.WithCancel: "):
        pickle.dumps(ctx)


# --- values -----------------------------------------------------------------------------------


class Unequal:
    """Equal to nothing, as a lock or a connection is."""


@pytest.mark.parametrize("key", ["a", 1, 1.5, (1, 2), Unequal(), math.nan, len, frozenset({1})])
def test_a_key_is_found_by_identity(key):
    assert with_value(key, "value").value(key) == "value"


def test_a_key_is_found_by_an_equal_one_of_the_same_type_and_by_no_other():
    keys = [1, True, 1.0, (1,), "1", b"1"]
    for key in keys:
        ctx = with_value(key, "value")
        assert [ctx.value(other) for other in keys if other is not key] == [None] * 5
    assert with_value((1, "a"), 2).value((1, "a")) == 2
    assert with_value("".join(["k", "ey"]), 2).value("key") == 2


def test_a_key_that_cannot_be_hashed_is_only_ever_looked_up_in_vain():
    assert with_value("key", 1).value([1]) is None


def test_the_nearest_value_counts_and_none_hides_one():
    ctx = context.with_value(with_value("key", 1), "key", None)
    assert ctx.value("key") is None
    ctx = context.with_value(ctx, "key", 2)
    assert context.without_cancel(context.with_cancel(ctx)[0]).value("key") == 2


def test_values_are_found_through_contexts_of_others():
    inner = with_value("inner", 1)
    outer = context.with_value(Plain(inner), "outer", 2)
    assert (outer.value("inner"), outer.value("outer"), outer.value("none")) == (1, 2, None)


def test_no_key_of_a_user_finds_what_the_package_looks_for_itself():
    seen = []

    class Spy(Plain):
        def value(self, key):
            seen.append(key)
            return super().value(key)

    ctx, cancel = context.with_cancel(background())
    with context.with_cancel(Spy(ctx)) as child:
        cancel()
        assert child.err() == ctx.err()
    assert [repr(key) for key in seen] == ["gopark.context.cancelCtxKey"]


# --- printing ---------------------------------------------------------------------------------


class Named(int):
    def __str__(self):
        return f"named {int(self)}"


class Color(enum.Enum):
    RED = 1


class Text(str):
    pass


HERE = __name__

PRINTED = [
    ("text", "text"),
    (None, "<nil>"),
    (1, "int"),
    (1.5, "float"),
    (True, "bool"),
    (Named(3), "named 3"),
    (Color.RED, "Color.RED"),
    (Text("secret"), f"{HERE}.Text"),
    (ValueError("secret"), "ValueError"),
    (Unequal(), f"{HERE}.Unequal"),
    (time.localtime(), "time.struct_time"),
]


@pytest.mark.parametrize(("value", "printed"), PRINTED, ids=[repr(p) for _, p in PRINTED])
def test_a_value_prints_as_in_go_what_it_is_and_not_what_is_in_it(value, printed):
    """Go: strings and what has a String method print, everything else by its type."""
    assert str(with_value("key", value)) == f"context.Background.WithValue(key, {printed})"


def test_a_local_class_prints_without_locals():
    class Local:
        pass

    printed = str(with_value(Local(), Local()))
    name = f"{HERE}.test_a_local_class_prints_without_locals.Local"
    assert printed == f"context.Background.WithValue({name}, {name})"


def test_the_chain_is_printed_from_the_root():
    ctx = context.with_value(context.with_cancel(context.todo())[0], "a", "b")
    assert str(context.without_cancel(ctx)) == (
        "context.TODO.WithCancel.WithValue(a, b).WithoutCancel"
    )
    assert repr(ctx) == "<context.TODO.WithCancel.WithValue(a, b)>"
    assert str(context.with_cancel_cause(background())[0]) == "context.Background.WithCancel"


def test_contexts_of_others_print_by_their_type_or_as_they_like():
    assert str(with_parent(Plain(background()))) == f"{HERE}.Plain.WithValue(k, v)"
    assert str(with_parent(Printed(background()))) == "printed.WithValue(k, v)"


def with_parent(parent):
    return context.with_value(parent, "k", "v")


DEADLINE = re.compile(
    r"context\.Background\.WithDeadline\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?) "
    r"[-+]\d{4} \S+ m=\+(\d+\.\d{9}) \[(-?[^\]]+)\]\)"
)


def test_a_deadline_prints_its_date_the_monotonic_clock_and_what_is_left():
    when = time.monotonic() + 90
    ctx, cancel = context.with_deadline(background(), when)
    match = DEADLINE.fullmatch(str(ctx))
    assert match is not None, str(ctx)
    then = time.mktime(time.strptime(match[1].partition(".")[0], "%Y-%m-%d %H:%M:%S"))
    assert abs(then - time.time() - 90) < 5
    assert float(match[2]) == pytest.approx(when)
    assert re.fullmatch(r"1m\d\d?\.\d+s", match[3])
    assert DEADLINE.fullmatch(str(ctx))[1] == match[1]
    cancel()
    past, _ = context.with_timeout(background(), -0.5)
    assert DEADLINE.fullmatch(str(past))[3].startswith("-")


@pytest.mark.parametrize(
    ("nanoseconds", "printed"),
    [
        (0, "0s"),
        (1, "1ns"),
        (999, "999ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (1_000_000, "1ms"),
        (999_999_999, "999.999999ms"),
        (3_300_000_000, "3.3s"),
        (245_000_000_000, "4m5s"),
        (60_000_000_000, "1m0s"),
        (9_900_500_000_000, "2h45m0.5s"),
        (3_600_000_000_000_000, "1000h0m0s"),
        (-1, "-1ns"),
        (-61_000_000_000, "-1m1s"),
        (-28_267_965_375_574_631, "-7852h12m45.375574631s"),
    ],
)
def test_durations_print_as_gos(nanoseconds, printed):
    """As `time.Duration.String` prints them."""
    assert _format.duration(nanoseconds) == printed


@pytest.mark.parametrize("seconds", [1e10, 1e15, 1e18, 1e300, 1.7e308])
async def test_a_deadline_that_is_practically_never_is_one(seconds):
    for ctx, cancel in (
        context.with_timeout(background(), seconds),
        context.with_deadline(background(), seconds),
    ):
        assert ctx.err() is None
        assert ctx.deadline() >= seconds
        assert ctx.done().try_recv() == (None, False, False)
        for text in (str(ctx), repr(ctx)):
            assert text.lstrip("<").startswith("context.Background.WithDeadline(")
            assert len(text) < 200
        cancel()
        assert isinstance(ctx.err(), context.Canceled)
    ctx, cancel = context.with_timeout(background(), -seconds)
    assert isinstance(ctx.err(), context.DeadlineExceeded)
    assert str(ctx).startswith("context.Background.WithDeadline(")
    cancel()


@pytest.mark.parametrize(
    "derive", [context.with_deadline, lambda p, when: context.with_deadline_cause(p, when, None)]
)
def test_a_moment_of_the_calendar_is_no_deadline(derive):
    with pytest.raises(ValueError, match=r"a moment of time\.time\(\).*monotonic\(\) \+ seconds"):
        derive(background(), time.time() + 5)


def test_what_no_calendar_holds_prints_as_a_year():
    ctx, cancel = context.with_deadline(background(), 1e18)
    assert re.search(r"\(year 3\.16887e\+10 m=\+1e\+18 \[2\.77778e\+14h\]\)", str(ctx))
    cancel()


@pytest.mark.parametrize(
    ("zone", "printed"),
    [
        ("UTC0", "2026-01-02 03:04:05.6 +0000 UTC m=+1.500000000"),
        ("XXX-5:30", "2026-01-02 08:34:05.6 +0530 XXX m=+1.500000000"),
        ("YYY3:30", "2026-01-01 23:34:05.6 -0330 YYY m=+1.500000000"),
    ],
)
def test_dates_print_as_gos_in_local_time(monkeypatch, zone, printed):
    """As `time.Time.String` prints one with a reading of the monotonic clock."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert _format.date(1767323045_600000000, 1_500_000_000) == printed
        whole = printed.replace(".6", "", 1).replace("+1.5", "-0.5")
        assert _format.date(1767323045_000000000, -500_000_000) == whole
    finally:
        monkeypatch.undo()
        time.tzset()


# --- nothing is left --------------------------------------------------------------------------


def test_no_warning_comes_of_a_context_that_nobody_cancels():
    """Warnings are errors here, those of finalisers included."""
    context.with_timeout(background(), 3600)
    context.with_cancel(context.with_cancel(background())[0])
    gc.collect()
