"""Who is still there when a test has ended."""

from __future__ import annotations

import threading

import pytest

import gopark
from gopark import Chan
from gopark.testing import _leak, leak, wait_all_parked


async def wait(ch: Chan[int]) -> None:
    await inner(ch)


async def inner(ch: Chan[int]) -> None:
    await ch.recv()


ME = f"{__name__}."


async def stacks(*options: leak.Option) -> list[str]:
    err = await leak.find(leak.max_retry(2), *options)
    return [] if err is None else list(err.stacks)


async def test_nobody_left_is_no_error(procs: int) -> None:
    await leak.verify_none()
    assert await leak.find() is None


async def test_one_that_is_about_to_end_has_time_to(procs: int) -> None:
    async def slow() -> None:
        for _ in range(200):
            await gopark.gosched()
        await gopark.time.sleep(0.01)

    gopark.go(slow)
    await leak.verify_none()


async def test_one_that_stays_is_reported_with_its_stack(procs: int) -> None:
    ch: Chan[int] = Chan()
    gopark.go(wait, ch)
    with pytest.raises(leak.LeakError) as caught:
        await leak.verify_none()
    text = str(caught.value)
    assert text.startswith("found unexpected goroutines:\n\ngoroutine ")
    assert "[chan receive]:\n" + ME + "inner(...)\n" in text
    assert f"created by {ME}test_one_that_stays_is_reported_with_its_stack in goroutine 1\n" in text
    assert isinstance(caught.value, AssertionError)


async def test_one_that_waits_for_ever_is_marked() -> None:
    gopark.go(wait, Chan())
    (stack,) = await stacks()
    assert "[chan receive (leaked)]:" in stack


async def test_the_text_lists_all_in_the_order_they_were_started() -> None:
    for _ in range(3):
        gopark.go(wait, Chan())
    err = await leak.find(leak.max_retry(2))
    assert err is not None
    assert len(err.stacks) == 3
    assert err.stacks == tuple(sorted(err.stacks, key=lambda s: int(s.split()[1])))
    assert str(err) == "found unexpected goroutines:\n\n" + "\n".join(err.stacks)


async def test_plain_functions_count(procs: int) -> None:
    ch: Chan[int] = Chan()
    gopark.go(lambda: gopark.block(wait(ch)))
    (stack,) = await stacks()
    assert ME + "inner(...)" in stack
    ch.close()


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (leak.ignore_top_function(ME + "inner"), True),
        (leak.ignore_top_function(ME + "wait"), False),
        (leak.ignore_any_function(ME + "inner"), True),
        (leak.ignore_any_function(ME + "wait"), True),
        (leak.ignore_any_function(ME + "other"), False),
        (leak.ignore_created_by(ME + "test_who_is_expected_is_ignored"), True),
        (leak.ignore_created_by(ME + "wait"), False),
    ],
)
async def test_who_is_expected_is_ignored(option: leak.Option, expected: bool) -> None:
    gopark.go(wait, Chan())
    await wait_all_parked()
    assert (await stacks(option) == []) is expected


async def test_who_was_there_before_is_ignored() -> None:
    gopark.go(wait, Chan())
    before = leak.ignore_current()
    assert await stacks(before) == []
    gopark.go(wait, Chan())
    assert len(await stacks(before)) == 1


async def test_the_goroutine_that_hands_out_signals_is_the_runtimes() -> None:
    ch: Chan[object] = Chan(1)
    gopark.signal.notify(ch, 10)
    await leak.verify_none()


async def test_cleanup_is_called_leak_or_no_leak() -> None:
    calls: list[int] = []
    note = leak.cleanup(lambda: calls.append(1))
    await leak.verify_none(note, note)
    assert calls == [1, 1]
    gopark.go(wait, Chan())
    with pytest.raises(leak.LeakError):
        await leak.verify_none(note, leak.max_retry(1))
    assert calls == [1, 1, 1]


async def test_the_number_of_looks_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    unexpected = _leak.unexpected
    monkeypatch.setattr(_leak, "unexpected", lambda *o, **k: looks.append(1) or unexpected(*o, **k))
    gopark.go(wait, Chan())
    await leak.find(leak.max_retry(5))
    assert len(looks) == 5 + 1  # once more for the text


def test_plain_code_uses_block() -> None:
    gopark.block(leak.verify_none(leak.ignore_current()))


async def test_a_scope_is_what_was_started_from_there(procs: int) -> None:
    """At any remove, by `go`, a WaitGroup, a timer or a plain function."""
    ch: Chan[int] = Chan()
    gopark.go(wait, ch)
    mark = _leak.scope()

    async def start() -> None:
        gopark.go(wait, ch)
        gopark.go(lambda: gopark.go(wait, ch))
        gopark.go(lambda: gopark.block(wait(ch)))
        gopark.time.after_func(0.001, wait, ch)
        await gopark.time.sleep(0.005)

    async with gopark.sync.WaitGroup() as wg:
        wg.go(start)
    await wait_all_parked()
    assert len(await stacks()) == 5
    assert len(await stacks(_leak.scoped(mark))) == 4
    ch.close()


@pytest.mark.outside_help
async def test_what_another_thread_starts_is_in_no_scope() -> None:
    ch: Chan[int] = Chan()
    begin = threading.Event()
    # Begun before the scope: without the GIL a thread inherits the context of who starts it.
    thread = threading.Thread(target=lambda: begin.wait() and gopark.go(wait, ch))
    thread.start()
    mark = _leak.scope()
    begin.set()
    gopark.cgo.call(thread.join)
    await wait_all_parked()
    assert len(await stacks()) == 1
    assert await stacks(_leak.scoped(mark)) == []
    ch.close()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: leak.ignore_top_function(wait), TypeError),  # type: ignore[arg-type]
        (lambda: leak.max_retry(0), ValueError),
        (lambda: leak.max_retry(True), TypeError),
        (lambda: leak.cleanup(1), TypeError),  # type: ignore[arg-type]
        (lambda: gopark.block(leak.verify_none(1)), TypeError),  # type: ignore[arg-type]
        (lambda: gopark.block(leak.find(leak.cleanup(print))), ValueError),
    ],
)
def test_what_makes_no_sense_is_refused(call: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"leak|worker|needs|cleanup"):
        call()  # type: ignore[operator]


def test_an_option_says_what_it_is() -> None:
    assert repr(leak.ignore_top_function("a.b")) == "<Option ignore_top_function('a.b')>"
