"""Packages that come with `import gopark` and are imported at their first use."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gopark

LAZY = ("asyncio", "exec", "net", "tls")
LOADED = "sorted(n for n in sys.modules if n.count('.') == 2 and n.split('.')[1] in LAZY)"


@pytest.fixture
def prints(child: Callable[..., Any]) -> Callable[[str], str]:
    """What a program prints that knows LAZY and `loaded()`."""

    def prints(program: str) -> str:
        head = f"import sys\nLAZY = {LAZY}\ndef loaded(): return {LOADED}\n"
        ended = child(head + program)
        assert (ended.returncode, ended.stderr) == (0, "")
        return str(ended.stdout)

    return prints


def test_none_is_imported_with_gopark(prints: Callable[[str], str]) -> None:
    out = prints("import gopark\nprint(loaded(), 'asyncio' in sys.modules, 'ssl' in sys.modules)")
    assert out == "[] False False\n"


@pytest.mark.parametrize("name", LAZY)
def test_one_is_imported_with_its_first_name(prints: Callable[[str], str], name: str) -> None:
    public = {"asyncio": "call", "exec": "Cmd", "net": "dial", "tls": "client"}[name]
    for way in (
        f"import gopark; f = gopark.{name}.{public}",
        f"import gopark.{name}; f = gopark.{name}.{public}",
        f"import gopark.{name} as m; f = m.{public}",
        f"from gopark import {name}; f = {name}.{public}",
        f"from gopark.{name} import {public} as f",
        f"from gopark.{name} import *; f = {public}",
    ):
        out = prints(
            f"{way}\nimport importlib, types\nm = importlib.import_module('gopark.{name}')\n"
            f"print(f is m.{public}, m is __import__('gopark').{name}, type(m) is types.ModuleType)"
        )
        assert out == "True True True\n", way


def test_who_goes_through_all_modules_imports_none(prints: Callable[[str], str]) -> None:
    out = prints(
        "import gopark, inspect, linecache, warnings\n"
        "for m in list(sys.modules.values()):\n"
        "    getattr(m, '__file__', None), getattr(m, '__warningregistry__', None), repr(m)\n"
        "gopark.run(gopark.pprof.lookup('goroutine').write_to, open('/dev/null', 'w'), 2)\n"
        "print(loaded(), hasattr(gopark.net, '__wrapped__'))"
    )
    assert out == "[] False\n"


def test_an_attribute_that_is_not_there(prints: Callable[[str], str]) -> None:
    out = prints(
        "import gopark\n"
        "for where in gopark, gopark.net, gopark.net:\n"
        "    try: where.listne\n"
        "    except AttributeError as exc: print(exc)\n"
    )
    assert out.splitlines() == [
        "module 'gopark' has no attribute 'listne'",
        *["module 'gopark.net' has no attribute 'listne'"] * 2,
    ]


def test_threads_that_come_at_once_find_all_of_it(prints: Callable[[str], str]) -> None:
    out = prints(
        "import threading, gopark\n"
        "sys.setswitchinterval(1e-5)\n"
        "at, found = threading.Barrier(8), []\n"
        "def one():\n"
        "    at.wait()\n"
        "    found.append(gopark.net.dial)\n"
        "    found.append(gopark.tls.client)\n"
        "threads = [threading.Thread(target=one) for _ in range(8)]\n"
        "for t in threads: t.start()\n"
        "for t in threads: t.join()\n"
        "print(len(found), len(set(found)))"
    )
    assert out == "16 2\n"


def test_an_import_that_fails_fails_again_and_then_works(prints: Callable[[str], str]) -> None:
    out = prints(
        "import gopark\n"
        "sys.modules['ssl'] = None\n"
        "for _ in range(2):\n"
        "    try: gopark.tls.client\n"
        "    except ImportError as exc: print(exc.name)\n"
        "del sys.modules['ssl']\n"
        "print(gopark.tls.client.__name__)"
    )
    assert out == "ssl\nssl\nclient\n"


def test_the_package_has_no_getattr() -> None:
    """With one Python looks up every attribute in the slow way: see _later.py."""
    tree = ast.parse(Path(gopark.__file__).read_text())
    assert "__getattr__" not in {getattr(node, "name", "") for node in ast.walk(tree)}
    assert not hasattr(gopark, "__getattr__")
