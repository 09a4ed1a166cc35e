"""What the documentation shows is true: its programs run and print what it says they print.

In README.md, HACKING.md and docs/:

    ```python             a whole program, run as a child; it has to end with status 0
    ```python exit=2      the same, with another status
    ```python fragment    a piece of one; it only has to compile
    ```text               straight after a program: what it prints, stdout before stderr
    ```go                 straight before one: the same in Go, which prints the same

In the text of an output a line `...` stands for any lines, and the program's file is
`/path/prog.py`.
"""

from __future__ import annotations

import asyncio
import builtins
import ctypes
import doctest
import inspect
import pathlib
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from itertools import zip_longest
from types import ModuleType
from typing import NamedTuple

import pytest

import gopark
import gopark.net
from gopark._runtime.base.lockrank import Rank
from gotool import built
from harness import TIMEOUT, run_python
from harness import build_folder as build_folder

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "HACKING.md", *sorted((ROOT / "docs").glob("**/*.md"))]

FENCE = re.compile(r"^```(\w*)(.*)\n((?:.*\n)*?)```$", re.M)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.M)


# --- programs in the pages --------------------------------------------------------------------


class Block(NamedTuple):
    """A fenced piece of Python."""

    where: str  # page:line
    options: list[str]
    code: str
    output: str | None


def blocks(page: pathlib.Path) -> Iterator[Block]:
    text = page.read_text()
    fences = list(FENCE.finditer(text))
    for fence, after in zip_longest(fences, fences[1:]):
        language, options, code = fence.groups()
        if language != "python":
            continue
        output = None
        if (
            after is not None
            and after[1] == "text"
            and not text[fence.end() : after.start()].strip()
        ):
            output = after[3]
        line = text.count("\n", 0, fence.start()) + 1
        yield Block(f"{page.relative_to(ROOT)}:{line}", options.split(), code, output)


BLOCKS = [block for page in PAGES for block in blocks(page)]


def matches(pattern: str, text: str) -> bool:
    """Whether the text is the pattern, in which a line `...` stands for any lines.

    An address in a profile is made of a line's number, that of the innermost function of a line in
    our own source, which moves.
    """
    pattern, text = (re.sub(r"(?<=@ 0x41)[0-9a-f]{4}", "....", one) for one in (pattern, text))
    pieces = [re.escape(piece) for piece in re.split(r"^\.\.\.\n", pattern, flags=re.M)]
    return re.fullmatch(r"(?:.*\n)*?".join(pieces), text) is not None


@pytest.mark.parametrize("block", BLOCKS, ids=[block.where for block in BLOCKS])
def test_the_program_runs_and_prints_what_the_page_says(block: Block, tmp_path: pathlib.Path):
    if block.options == ["fragment"]:
        compile(block.code, block.where, "exec", flags=FRAGMENT)
        return
    status = 0
    timed = "timed" in block.options  # it prints the time: on a busy machine, the best of some
    for option in block.options:
        if option == "timed":
            continue
        name, _, value = option.partition("=")
        assert name == "exit", f"unknown option {option!r}"
        status = int(value)
    program = tmp_path / "prog.py"
    program.write_text(block.code)
    for _ in range(20 if timed else 1):
        ended = run_python([str(program)])
        printed = (ended.stdout + ended.stderr).replace(str(program), "/path/prog.py")
        assert ended.status == status, printed
        if block.output is None or matches(block.output, printed):
            break
    if block.output is not None:
        assert matches(block.output, printed), printed
    elif status == 0:
        assert not ended.stderr


class Twin(NamedTuple):
    """A program in Go, and what that and its twin in Python print."""

    where: str
    code: str
    output: str


def twins(page: pathlib.Path) -> Iterator[Twin]:
    text = page.read_text()
    three = re.compile(r"^```go\n(.*?)^```\n+```python\n.*?^```\n+```text\n(.*?)^```$", re.M | re.S)
    for match in three.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Twin(f"{page.stem}-{line}", match[1], match[2])


TWINS = [twin for page in PAGES for twin in twins(page)]


@pytest.mark.parametrize("twin", TWINS, ids=[twin.where for twin in TWINS])
def test_the_program_in_go_prints_the_same(twin: Twin, tmp_path: pathlib.Path):
    source = tmp_path / "main.go"
    source.write_text(twin.code)
    program = built(source, twin.where)
    done = subprocess.run([program], capture_output=True, text=True, timeout=TIMEOUT)
    said = done.stdout.replace("true", "True").replace("false", "False")
    assert (said, done.stderr, done.returncode) == (twin.output, "", 0)


FRAGMENT = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, since a fragment may begin inside a function


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: pathlib.Path):
    """Links to other files of the repository and to headings in them; not those to the web."""
    broken = []
    for target in LINK.findall(CODE.sub("code", FENCE.sub("", page.read_text()))):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(page: pathlib.Path) -> set[str]:
    """The names that a page's headings can be linked by, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(FENCE.sub("", page.read_text()))
    }


def test_a_wrong_output_would_be_noticed():
    assert matches("a\n...\nz\n", "a\nb\nc\nz\n")
    assert matches("a\n...\nz\n", "a\nz\n")
    assert not matches("a\n...\nz\n", "a\nb\n")
    assert not matches("a\n", "a\nb\n")
    assert not matches("main.f(...)\n", "main.f(1)\n")


def test_hacking_lists_every_module_of_the_runtime_and_every_rank():
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "HACKING.md").read_text(), re.M)
    listed = set(re.findall(r"`(\w+)`", " ".join(rows)))
    runtime = ROOT / "src" / "gopark" / "_runtime"
    modules = {path.stem for path in runtime.glob("*/*.py")} - {"__init__"}
    assert modules - listed == set()
    assert {rank.name for rank in Rank} - listed == set()


def test_the_index_lists_every_public_name():
    table = (ROOT / "docs" / "index.md").read_text()
    names = {
        name.rpartition(".")[2] for name in PUBLIC if not re.search(r"([A-Z]\w*|\.timeout)\.", name)
    }
    assert {name for name in names if f"`{name}`" not in table} == set()


# --- docstrings -------------------------------------------------------------------------------


def public() -> Iterator[tuple[str, object]]:
    """Every public function, class and method, with the name that a user knows it by."""
    modules: list[tuple[str, ModuleType]] = [("gopark", gopark)]
    for prefix, module in modules:
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, ModuleType):
                modules.append((f"{prefix}.{name}", value))
                continue
            yield f"{prefix}.{name}", value
            if isinstance(value, type):
                for attribute, method in vars(value).items():
                    if inspect.isfunction(method) and not attribute.startswith("_"):
                        yield f"{prefix}.{name}.{attribute}", method


PUBLIC = dict(public())


@pytest.mark.parametrize("name", PUBLIC)
def test_examples_in_docstrings_run(name: str):
    names = {"gopark": gopark, "ctypes": ctypes, "threading": threading}
    test = doctest.DocTestParser().get_doctest(
        inspect.getdoc(PUBLIC[name]) or "", names, name, name, 0
    )
    report: list[str] = []
    failed, _ = doctest.DocTestRunner().run(test, out=report.append)
    assert failed == 0, "".join(report)


@pytest.mark.parametrize("name", PUBLIC)
def test_errors_named_under_raises_exist(name: str):
    text = inspect.getdoc(PUBLIC[name]) or ""
    section = re.search(r"^Raises:\n((?: .*\n?)*)", text, re.M)
    for error in re.findall(r"^ {4}(\w+):", section[1] if section else "", re.M):
        testing = gopark.testing
        public = (
            gopark,
            gopark.context,
            gopark.exec,
            gopark.http,
            gopark.net,
            gopark.tls,
            gopark.workqueue,
            testing.leak,
            testing.synctest,
        )
        places = (builtins, asyncio, ssl, *public)
        known = next((vars(one)[error] for one in places if error in vars(one)), None)
        assert issubclass(known or ERRORS[error], BaseException)


ERRORS = {"Goexit": BaseException}  # unwinds a goroutine; nobody is to name it in an except


@pytest.mark.parametrize("name", [n for n, value in PUBLIC.items() if callable(value)])
def test_every_public_name_says_what_it_does(name: str):
    assert inspect.getdoc(PUBLIC[name])
