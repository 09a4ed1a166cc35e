"""What is read from an exception: what it came out of, in which order, and what became of each."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager, nullcontext

import pytest

from gopark._runtime.base.errors import Goexit
from gopark._runtime.report.printpanics import infinally, panictext, pendingtext


class E(Exception):
    """One of this module."""


def lines(fn) -> list[str]:
    """The lines of the panics that `fn` ends with, without what they all have in common."""
    try:
        fn()
    except BaseException as exc:
        name = f"{__name__}.E: "
        text = panictext(exc)[0]
    else:
        raise AssertionError("nothing was raised")
    return [
        line.removeprefix("\t").removeprefix("panic: ").removeprefix(name)
        for line in text.split("\n")
    ]


def fails(text: str) -> None:
    raise E(text)


# --- recovered or not ------------------------------------------------------------------------


def in_finally():
    try:
        raise E("a")
    finally:
        raise E("b")


def under_finally():
    try:
        raise E("a")
    finally:
        fails("b")


def in_finally_further_in():
    try:
        raise E("a")
    finally:
        for n in [1]:
            if n:
                with nullcontext():
                    raise E("b")


def behind_an_except_that_does_not_fit():
    try:
        raise E("a")
    except KeyError:
        pass
    finally:
        raise E("b")


def in_a_callback_of_a_with_block():
    with ExitStack() as stack:
        stack.callback(fails, "b")
        raise E("a")


def in_exit():
    class Manager:
        def __enter__(self):
            return self

        def __exit__(self, *exc):
            raise E("b")

    with Manager():
        raise E("a")


def in_finally_of_a_context_manager():
    @contextmanager
    def manager():
        try:
            yield
        finally:
            raise E("b")

    with manager():
        raise E("a")


@pytest.mark.parametrize(
    "fn",
    [
        in_finally,
        under_finally,
        in_finally_further_in,
        behind_an_except_that_does_not_fit,
        in_exit,
        in_finally_of_a_context_manager,
    ],
)
def test_an_exception_that_a_cleanup_raises_leaves_the_first_one_unrecovered(fn):
    assert lines(fn) == ["a", "b"]


def in_except():
    try:
        raise E("a")
    except E:
        raise E("b")  # noqa: B904


def in_bare_except():
    try:
        raise E("a")
    except:  # noqa: E722
        raise E("b")  # noqa: B904


def under_except():
    try:
        raise E("a")
    except (KeyError, E) as exc:
        fails(f"b{exc.__class__.__name__[:0]}")


def in_except_with_a_finally_behind_it():
    try:
        raise E("a")
    except E as exc:
        raise E("b") from exc
    finally:
        sys.intern("anything")


def in_except_of_a_context_manager():
    @contextmanager
    def manager():
        try:
            yield
        except E:
            raise E("b")  # noqa: B904

    with manager():
        raise E("a")


def kept_and_named_later():
    def kept():
        try:
            raise E("a")
        except E as exc:
            return exc

    raise E("b") from kept()


@pytest.mark.parametrize(
    "fn",
    [
        in_except,
        in_bare_except,
        under_except,
        in_except_with_a_finally_behind_it,
        in_except_of_a_context_manager,
        kept_and_named_later,
    ],
)
def test_an_exception_that_was_handled_is_recovered(fn):
    assert lines(fn) == ["a [recovered]", "b"]


def test_an_except_clause_and_a_finally_block_of_one_statement():
    def fn():
        try:
            raise E("a")
        except E:
            raise E("b")  # noqa: B904
        finally:
            raise E("c")

    assert lines(fn) == ["a [recovered]", "b", "c"]


def test_one_that_was_caught_within_a_cleanup():
    def fn():
        try:
            raise E("a")
        finally:
            try:
                raise E("b")
            except E:
                raise E("c")  # noqa: B904

    assert lines(fn) == ["a", "b [recovered]", "c"]


def test_awaiting_makes_no_difference():
    async def inner(text):
        raise E(text)

    async def cleanup():
        try:
            raise E("a")
        finally:
            await inner("b")

    async def handler():
        try:
            await cleanup()
        except E:
            await inner("c")

    assert lines(lambda: handler().send(None)) == ["a", "b [recovered]", "c"]


def test_an_exception_group_that_was_split_is_recovered():
    def fn():
        try:
            raise ExceptionGroup("several", [E("a")])
        except* E:
            raise E("b")  # noqa: B904

    assert lines(fn) == ["ExceptionGroup: several (1 sub-exception) [recovered]", "a", "b"]


def test_a_group_shows_what_it_is_of():
    class Mute(Exception):
        def __str__(self):
            raise E("no words")

    inner = ExceptionGroup("inner", [E("b\ngoroutine 7 [running]:"), Mute()])

    def fn():
        raise ExceptionGroup("outer", [E("a"), inner, *(E(str(n)) for n in range(10))])

    name = f"{__name__}.E: "
    assert lines(fn)[:5] == [
        "ExceptionGroup: outer (12 sub-exceptions)",
        "a",
        "ExceptionGroup: inner (2 sub-exceptions)",
        f"\t{name}b",
        "\tgoroutine 7 [running]:",
    ]
    assert lines(fn)[5].endswith("Mute: <it cannot be printed: no words>")
    assert lines(fn)[-2:] == ["7", "... and 2 more"]


# --- raised again ----------------------------------------------------------------------------


def again(exc: BaseException) -> None:
    raise exc


def test_an_exception_that_is_caught_and_raised_again_is_one_line():
    def here():
        try:
            fails("a")
        except E as exc:
            raise exc

    def elsewhere():
        try:
            fails("a")
        except E as exc:
            again(exc)

    for fn in here, elsewhere:
        assert lines(fn) == ["a [recovered, repanicked]"]


def test_a_bare_raise_lets_it_pass():
    def fn():
        try:
            fails("a")
        except E:
            raise

    assert lines(fn) == ["a"]


def test_the_same_exception_raised_in_a_cleanup_is_one_line_and_not_recovered():
    def fn():
        exc = E("a")
        try:
            raise exc
        finally:
            raise exc

    assert lines(fn) == ["a"]


def test_one_raised_again_out_of_one_that_came_out_of_it_is_two_lines():
    def same_frame():
        try:
            try:
                raise E("outer")
            except E as exc:
                outer = exc
                raise E("inner")  # noqa: B904
        except E:
            raise outer  # noqa: B904

    def other_frame():
        kept = []

        def inner():
            try:
                raise E("outer")
            except E as exc:
                kept.append(exc)
                raise E("inner")  # noqa: B904

        try:
            inner()
        except E:
            raise kept[0]  # noqa: B904

    for fn in same_frame, other_frame:
        assert lines(fn) == ["outer [recovered]", "inner [recovered]", "outer"]


def test_one_raised_again_that_came_out_of_another_is_one_line():
    def fn():
        try:
            try:
                raise E("inner")
            except E:
                raise E("outer")  # noqa: B904
        except E as exc:
            raise exc

    assert lines(fn) == ["inner [recovered]", "outer [recovered, repanicked]"]


def test_a_long_chain_takes_time_in_proportion():
    def fn():
        before = None
        for n in range(3000):
            try:
                raise E(str(n)) from before
            except E as exc:
                before = exc
        raise before

    got = lines(fn)
    assert got == [*(f"{n} [recovered]" for n in range(2999)), "2999 [recovered, repanicked]"]


def test_an_exception_without_a_traceback_prints_too():
    exc = E("b")
    exc.__cause__ = E("a")
    assert panictext(exc)[1] == f"panic: {__name__}.E: b"
    assert panictext(exc)[0].count("[recovered]") == 1


# --- beside a fatal error ----------------------------------------------------------------------


def pending() -> str:
    return pendingtext(sys.exc_info()[1], sys._getframe(1))


def test_what_is_under_way_is_printed_before_a_fatal_error():
    assert pending() == ""
    seen = []
    try:
        try:
            raise E("a")
        finally:
            seen.append(pending())
    except E:
        seen.append(pending())
    name = f"panic: {__name__}.E: a"
    assert seen == [f"{name}\n\t", f"{name} [recovered]\n\t"]


def test_unwinding_is_no_panic():
    seen = []
    try:
        raise Goexit
    except Goexit:
        seen.append(pending())
    assert seen == [""]


# --- who is being unwound ------------------------------------------------------------------------


def stops(where: str):
    try:
        if where == "body":
            yield
        if where != "after":
            raise E
    except KeyError:
        yield
    except E:
        if where == "except":
            yield
        try:
            if where == "in except":
                yield
        except KeyError:
            yield
        raise
    finally:
        if where in ("finally", "after"):
            yield
        try:
            if where == "in finally":
                yield
        except KeyError:
            yield


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("body", False),
        ("except", False),
        ("in except", False),
        ("finally", True),
        ("in finally", True),
        ("after", False),
    ],
)
def test_a_finally_block_that_an_exception_has_led_to(where, found):
    stopped = stops(where)
    next(stopped)
    assert infinally(stopped.gi_code, stopped.gi_frame.f_lasti) is found
    stopped.close()


def test_a_with_block_that_an_exception_passes_through():
    frame, seen = sys._getframe(), []

    class Manager:
        def __enter__(self):
            return self

        def __exit__(self, *exc):
            seen.append(infinally(frame.f_code, frame.f_lasti))
            return True

    for error in (None, E):
        with Manager():
            if error:
                raise error
    assert seen == [False, True]
