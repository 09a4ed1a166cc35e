"""What dumps say of scopes: which deadline, whose task."""

from __future__ import annotations

import re

import gopark
from gopark import context


async def dumped(fn, *args):
    """The lines behind a dump that say what goroutines are in, while `fn` waits as a task."""
    task = gopark.spawn(fn, *args)
    await gopark.testing.wait_all_parked()
    text = gopark.runtime.stack(all=True)
    task.cancel()
    await task.ended().recv()
    head, _, scopes = text.partition("\nin scopes (innermost first):\n")
    assert scopes, text
    return head, scopes.splitlines()


async def test_the_time_that_is_left_and_whose_task_it_is():
    async def fetch():
        with gopark.timeout(60):
            await gopark.Chan().recv()

    head, [line] = await dumped(fetch)
    goid = re.search(r"goroutine (\d+) \[chan receive\]", head)[1]
    assert re.fullmatch(
        rf"\tgoroutine {goid}: timeout\(60\.0\), (59\.\d|60\.0) s left; "
        r"Task\(\S*fetch\)",
        line,
    )


async def test_plain_code_a_context_and_a_shield():
    release = gopark.Chan()

    def plain():
        ctx, cancel = context.with_timeout(context.background(), 60)
        with context.scope(ctx), context.shield(), gopark.timeout(None):
            gopark.block(release.recv())
        cancel()

    task = gopark.spawn(plain)
    await gopark.testing.wait_all_parked()
    text = gopark.runtime.stack(all=True)
    await release.send(None)
    await task
    wanted = r": timeout\(None\); shield\(\); scope\(ctx\), \d+\.\d s left; Task\("
    assert re.search(wanted, text)


async def test_one_that_is_over_says_so():
    release = gopark.Chan()

    async def cleans_up():
        try:
            await gopark.Chan().recv()
        finally:
            with context.shield():
                await release.recv()

    task = gopark.spawn(cleans_up)
    await gopark.testing.wait_all_parked()
    task.cancel()
    await gopark.testing.wait_all_parked()
    text = gopark.runtime.stack(all=True)
    await release.send(None)
    await task.ended().recv()
    assert re.search(r": shield\(\); Task\(\S*cleans_up\), over\n", text)


async def test_those_in_the_same_share_a_line():
    tasks = [gopark.spawn(gopark.Chan().recv) for _ in range(20)]
    await gopark.testing.wait_all_parked()
    text = gopark.runtime.stack(all=True)
    for task in tasks:
        task.cancel()
        await task.ended().recv()
    assert re.search(r"\tgoroutines (\d+, ){11}\d+ and 8 more: Task\(Chan\.recv\)\n", text)


async def test_a_name_can_forge_no_line():
    async def fn():
        await gopark.Chan().recv()

    fn.__qualname__ = "x\n\ngoroutine 99 [running]:\n"
    _, [line] = await dumped(fn)
    assert "\\n\\ngoroutine 99" in line


async def test_without_scopes_there_is_no_such_part():
    gopark.go(gopark.time.sleep, 0.001)
    assert "in scopes" not in gopark.runtime.stack(all=True)


def test_the_report_of_a_deadlock_has_it(run, capfd):
    async def main():
        with gopark.timeout(None):
            await gopark.Chan().recv()

    try:
        run(main)
    except gopark.DeadlockError:
        pass
    assert "\tgoroutine 1: timeout(None)\n" in capfd.readouterr().err


def test_the_report_of_a_deadlock_names_no_task_that_is_in_no_other_scope(run, capfd):
    async def inner():
        with gopark.timeout(None):
            await gopark.Chan().recv()

    async def main():
        gopark.spawn(gopark.Chan().recv)
        gopark.spawn(inner)
        await gopark.Chan().recv()

    try:
        run(main)
    except gopark.DeadlockError:
        pass
    scopes = capfd.readouterr().err.partition("\nin scopes (innermost first):\n")[2]
    assert re.match(r"\tgoroutine \d+: timeout\(None\); Task\(\S*inner\)\n", scopes), scopes
    assert "Task(Chan.recv)" not in scopes
