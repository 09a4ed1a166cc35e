"""What comes from outside cannot forge a line of a dump or a report, nor steer a terminal."""

from __future__ import annotations

import sys

import pytest

import gopark
from dumps import goroutines
from gopark import Chan
from gopark._runtime.base.printstring import indented, lines, oneline, shown
from gopark._runtime.report.printpanics import panictext
from gopark.testing import wait_all_parked
from harness import run_python

FORGED = (
    "x\n\ngoroutine 99 [running]:\nmain.forged(...)\n\t/forged.py:1\r\x1b[2J\x9b2J\u2028\u202eabc"
)


@pytest.mark.parametrize(
    ("text", "one", "many"),
    [
        ("plain (text) [x]: <y>", "plain (text) [x]: <y>", "plain (text) [x]: <y>"),
        ("größe 日本 \u3000 \xa0", "größe 日本 \u3000 \xa0", "größe 日本 \u3000 \xa0"),
        ("a\nb\tc", "a\\nb\\tc", "a\n\tb\tc"),
        ("a\r\nb", "a\\r\\nb", "a\\r\n\tb"),
        ("\x1b[31m\x07\x7f\x9b", "\\x1b[31m\\x07\\x7f\\x9b", "\\x1b[31m\\x07\\x7f\\x9b"),
        (
            "\u2028\u202e\u2066\u200f",
            "\\u2028\\u202e\\u2066\\u200f",
            "\\u2028\\u202e\\u2066\\u200f",
        ),
        ("half \udc80", "half \\udc80", "half \\udc80"),
    ],
)
def test_what_is_escaped_and_what_is_kept(text, one, many):
    assert oneline(text) == one
    assert indented(text) == many
    assert lines(text).replace("\n", "\n\t") == many


def test_every_character_that_ends_a_line_is_escaped():
    for number in range(sys.maxunicode + 1):
        char = chr(number)
        if len(f"a{char}b".splitlines()) > 1:
            assert oneline(char).isprintable(), hex(number)


def renamed(fn, name, file="file.py"):
    fn.__code__ = fn.__code__.replace(co_name=name, co_qualname=name, co_filename=file)
    return fn


def parked_under(name, file, module=__name__):
    async def park(ch):
        await ch.recv()

    fn = renamed(park, name, file)
    return type(fn)(fn.__code__, {"__name__": module, "Chan": Chan}, "park")


@pytest.mark.parametrize(
    ("name", "file", "module"),
    [
        (FORGED, "file.py", "mod"),
        ("name", FORGED, "mod"),
        ("name", "file.py", FORGED),
        ("f in goroutine 7", "file.py", "goroutine 9 [running]:"),
        ("name", "file.py", "created by main.main in goroutine 1"),
    ],
)
async def test_names_forge_no_goroutine(name, file, module):
    ch = Chan()
    gopark.go(parked_under(name, file, module), ch)
    await wait_all_parked()
    dump = gopark.runtime.stack(all=True)
    assert dump.count("\n\n") == 1
    heads = ("goroutine ", "created by ", "\t")
    for line in dump.splitlines():
        assert oneline(line.removeprefix("\t")) == line.removeprefix("\t")
        assert not line or line.startswith(heads) or line.endswith("(...)")
    assert sum(line.startswith("goroutine ") for line in dump.splitlines()) == 2
    assert sum(line.startswith("created by ") for line in dump.splitlines()) == 1
    ch.close()


class Strange(Exception):
    """Its text is what it was given."""


Strange.__qualname__ = "Strange\nname"


def test_the_text_of_a_panic_forges_nothing():
    text, last = panictext(Strange(FORGED))
    text = text.replace(__name__, "mod")
    assert "\x1b" not in text + last
    assert text.startswith("panic: mod.Strange\\nname: x\n\t\n\tgoroutine 99 [running]:\n")
    assert all(line.startswith("\t") for line in text.split("\n")[1:])


def test_notes_follow_the_text_of_a_panic():
    error = ValueError("x")
    error.add_note("see runbook 17")
    error.add_note(f"and {FORGED}")
    text, last = panictext(error)
    assert text.startswith("panic: ValueError: x\n\tsee runbook 17\n\tand x\n\t\n\tgoroutine 99")
    assert all(line.startswith("\t") for line in text.split("\n")[1:])
    assert last == "panic: ValueError: x"


def test_notes_that_are_none_do_no_harm():
    class Bad:
        def __str__(self):
            raise KeyError("no text")

    error = ValueError("x")
    error.__notes__ = "just a string"
    assert panictext(error)[0] == "panic: ValueError: x\n\tjust a string"
    error.__notes__ = ["first", Bad()]
    text = panictext(error)[0]
    assert text == "panic: ValueError: x\n\tfirst\n\t<a note cannot be printed: 'no text'>"


def test_a_report_of_a_forger_reads_as_one_goroutine():
    text = f"""
import gopark
async def bad():
    raise ValueError({FORGED!r})
async def main():
    gopark.go(bad)
    await gopark.Chan().recv()
gopark.run(main)
"""
    done = run_python(["-c", text])
    assert done.status == 2
    assert "\x1b" not in done.stderr
    report = done.stderr.partition("\n\n")[2]
    assert [g.goid for g in goroutines(report)] == [2]


def test_what_has_no_text_is_told_all_the_same():
    class Mute:
        def __repr__(self):
            raise ZeroDivisionError

    class Stopped:
        def __repr__(self):
            raise KeyboardInterrupt

    mute = Mute()
    assert shown("x\n") == "'x\\n'"
    assert shown(mute) == object.__repr__(mute)
    assert shown([mute]).startswith("<list object at ")
    assert shown(2**20000) == "an integer of 20,001 bits"
    with pytest.raises(KeyboardInterrupt):
        shown(Stopped())


def test_a_default_that_has_no_text_hides_no_error():
    class Mute:
        def __repr__(self):
            raise ZeroDivisionError

    def fn(a, b=Mute()):  # noqa: B008
        pass

    with pytest.raises(TypeError, match=r"go: .*fn\(\.\.\.\) cannot be called so: missing"):
        gopark.go(fn)
