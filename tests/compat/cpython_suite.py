"""CPython's own tests of asyncio, on asyncio's loop and on ours: how many pass on each.

    python tests/compat/cpython_suite.py [--ours] test_events test_streams ...

Names are modules of `test.test_asyncio`, which the interpreter has to have (up to 3.13, whose
policies make the loops). Without names: all, but for those of Windows's loops (proactor_events,
windows_events, windows_utils). What a test gives a selector of its own has ours instead.
"""

from __future__ import annotations

import asyncio
import io
import sys
import unittest
import warnings

import gopark
import gopark.asyncio as ga

MODULES = (
    "base_events buffered_proto context eager_task_factory events futures futures2 locks pep492 "
    "protocols queues runners selector_events sendfile server sock_lowlevel sslproto ssl staggered "
    "streams subprocess taskgroups tasks threads timeouts transports unix_events waitfor"
)


def ours() -> None:
    """Wherever the tests have asyncio make a loop it is one of ours."""
    base: type = type(_closed())
    theirs = asyncio.set_event_loop_policy

    class Loop(base):  # type: ignore[misc]
        def __init__(self, selector: object = None) -> None:
            super().__init__()

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            return Loop()

    asyncio.set_event_loop_policy = lambda policy: theirs(policy or Policy())
    asyncio.SelectorEventLoop = asyncio.unix_events.SelectorEventLoop = Loop
    theirs(Policy())


def _closed() -> asyncio.AbstractEventLoop:
    loop = ga.new_event_loop()
    loop.close()
    return loop


def main() -> None:
    names = sys.argv[1:]
    if "--ours" in names:
        names.remove("--ours")
        ours()
    warnings.simplefilter("ignore")
    ran = 0
    bad: list[str] = []
    for name in names or [f"test_{one}" for one in MODULES.split()]:
        suite = unittest.defaultTestLoader.loadTestsFromName(f"test.test_asyncio.{name}")
        result = unittest.TextTestRunner(stream=io.StringIO(), verbosity=2).run(suite)
        ran += result.testsRun
        failed = [test.id() for test, _ in result.failures + result.errors]
        bad += failed
        print(f"{name}: {result.testsRun} run", *failed, flush=True)
    print(f"{ran:,} run, {len(bad)} not passed")


if __name__ == "__main__":
    gopark.run(main)
