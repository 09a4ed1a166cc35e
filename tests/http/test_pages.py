"""The command lines in the pages about HTTP are such as `gopark serve` reads."""

from __future__ import annotations

import ast
import pathlib
import re
import shlex

import pytest

from gopark import _cmd

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGES = [*sorted((ROOT / "docs").glob("http*.md")), ROOT / "README.md"]
PLAIN = re.compile(r"^(?:\$ |ExecStart=\S*/)(gopark serve .*)$", re.M)
LISTED = re.compile(r'^CMD (\["gopark", "serve", .*\])$', re.M)
OPTION = re.compile(r"`(--[a-z0-9-]+)")


def commands():
    for page in PAGES:
        text = page.read_text()
        found = [shlex.split(one) for one in PLAIN.findall(text)]
        found += [ast.literal_eval(one) for one in LISTED.findall(text)]
        for words in found:
            yield pytest.param(words[1:], id=f"{page.name}: {' '.join(words[2:])[:40]}")


@pytest.mark.parametrize("words", [*commands()])
def test_it_is_read(words):
    options = _cmd._parser(serves=True).parse_args(words)
    assert options.app in ("main:app", "mysite.wsgi")


def test_there_are_some_of_each_kind():
    kinds = [PLAIN, LISTED]
    text = (ROOT / "docs" / "http-production.md").read_text()
    assert all(kind.search(text) for kind in kinds)
    assert "ExecStart=" in text


def test_options_of_the_reference_exist():
    parser = _cmd._parser(serves=True)
    serve = parser._subparsers._group_actions[0].choices["serve"]
    known = set(serve._option_string_actions)
    text = (ROOT / "docs" / "http.md").read_text()
    assert {option for option in OPTION.findall(text) if option not in known} <= {
        "--http2-prior-knowledge"
    }
