"""Which goroutine this is, and logs that say so."""

from __future__ import annotations

import io
import logging
import logging.config
import logging.handlers
import queue

import pytest

import gopark
from gopark import Chan, context, pprof
from gopark.runtime import LogFilter, goid


def test_without_a_goroutine_it_is_zero():
    assert goid() == 0


@pytest.mark.usefixtures("procs")
async def test_each_goroutine_has_the_number_that_dumps_show():
    found = Chan(20)

    async def asyncly():
        await found.send((goid(), gopark.runtime.stack().split()[1]))

    def plain():
        found.try_send((goid(), gopark.runtime.stack().split()[1]))

    for fn in (asyncly, plain) * 5:
        gopark.go(fn)
    pairs = [await found.recv() for _ in range(10)]
    assert all(str(number) == shown for number, shown in pairs)
    assert len({number for number, _ in pairs}) == 10
    assert goid() == 1


def test_a_callback_of_c_is_one(cthread):
    found = []
    cthread(gopark.cgo.callback(lambda _: found.append(goid()))).join()
    assert found[0] > 0
    assert goid() == 0


@pytest.fixture
def log():
    """A logger whose lines say who wrote them, and what it has written."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(LogFilter())
    handler.setFormatter(logging.Formatter("%(goid)d%(golabels)s: %(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    return logger, out


async def test_a_line_has_the_number_and_the_labels_of_who_wrote_it(log):
    logger, out = log
    done = Chan()

    def works(ctx):
        logger.warning("at work")
        gopark.go(child)

    async def child():
        logger.warning("of the labels of who started it")
        await done.send(goid())

    logger.warning("none")
    pprof.do(context.background(), pprof.labels("job", "7", "kind", "index"), works)
    number = await done.recv()
    assert out.getvalue().splitlines() == [
        "1: none",
        "1 job=7 kind=index: at work",
        f"{number} job=7 kind=index: of the labels of who started it",
    ]


async def test_a_label_forges_no_line(log):
    logger, out = log
    labels = pprof.labels("path", "/a\n1: all is well", "\x1b[2J", "")
    pprof.do(context.background(), labels, lambda ctx: logger.warning("done"))
    assert out.getvalue() == "1 \\x1b[2J= path=/a\\n1: all is well: done\n"


def test_a_line_outside_has_neither(log):
    logger, out = log
    logger.warning("no goroutine")
    assert out.getvalue() == "0: no goroutine\n"


async def test_it_is_found_by_a_configuration_and_works_before_a_queue():
    records = queue.SimpleQueue()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"go": {"()": "gopark.runtime.LogFilter"}},
            "handlers": {"null": {"class": "logging.NullHandler", "filters": ["go"]}},
        }
    )
    handler = logging.handlers.QueueHandler(records)
    handler.addFilter(LogFilter())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.warning("queued")
    record = records.get_nowait()
    assert (record.goid, record.golabels) == (1, "")
