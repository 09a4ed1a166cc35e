"""The shape of the package: names, docs, layers, sizes."""

from __future__ import annotations

import ast
import asyncio
import builtins
import ctypes
import doctest
import importlib
import inspect
import os
import pathlib
import re
import ssl
import subprocess
import threading

import pytest

import gopark
import gopark.net

ROOT = pathlib.Path(gopark.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
PUBLIC_MODULES = [
    "gopark",
    *sorted(
        "gopark." + ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for p in SOURCES
        if p != ROOT / "__init__.py"
        and not any(
            part.startswith("_") and part != "__init__.py" for part in p.relative_to(ROOT).parts
        )
    ),
]


def module_name(path):
    return ".".join(("gopark", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    )


def public_objects():
    """(qualified name, object) of every public class and function, methods of classes included."""
    found = []
    for module in map(importlib.import_module, PUBLIC_MODULES):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.ismodule(value):
                continue
            found.append((f"{module.__name__}.{name}", value))
            if inspect.isclass(value) and not issubclass(value, BaseException):
                found += [
                    (f"{module.__name__}.{name}.{attr}", member)
                    for attr, member in vars(value).items()
                    if not attr.startswith("_") and inspect.isfunction(member)
                ]
    return found


# What else a Chan has without an underscore is for the rest of the runtime.
CHAN = {"send", "recv", "recv_ok", "try_send", "try_recv", "close"}
OBJECTS = [
    (name, value)
    for name, value in public_objects()
    if not name.startswith("gopark.Chan.") or name.removeprefix("gopark.Chan.") in CHAN
]
CALLABLES = [
    (name, value)
    for name, value in OBJECTS
    if not (inspect.isclass(value) and issubclass(value, BaseException))
]


def ids(pairs):
    return [name for name, _ in pairs]


# --- names ------------------------------------------------------------------------------------


def test_the_public_names_are_the_designs():
    """Later issues add to these; none of them may go."""
    assert set(gopark.__all__) >= {
        "run", "go", "block", "gosched", "goexit", "Chan", "select", "recv", "send",
        "FatalError", "DeadlockError", "ClosedChannelError",
    }  # fmt: skip
    assert set(gopark.runtime.__all__) >= {
        "num_goroutine", "stack", "gomaxprocs", "num_cpu", "lock_os_thread",
        "unlock_os_thread", "num_cgo_call",
    }  # fmt: skip
    assert set(gopark.cgo.__all__) >= {"callback", "export", "call"}
    assert set(gopark.time.__all__) >= {"sleep", "after"}
    assert "strict_deadlock" in gopark.debug.__all__
    assert "wait_all_parked" in gopark.testing.__all__


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_a_public_module_lists_its_names_in_order_and_has_them(name):
    module = importlib.import_module(name)
    assert isinstance(module.__all__, tuple)
    assert list(module.__all__) == sorted(module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        getattr(module, public)


def test_each_public_object_surfaces_exactly_once():
    places: dict[int, list[str]] = {}
    for module in map(importlib.import_module, PUBLIC_MODULES):
        for name in module.__all__:
            if not inspect.ismodule(getattr(module, name)):
                places.setdefault(id(getattr(module, name)), []).append(f"{module.__name__}.{name}")
    assert [where for where in places.values() if len(where) > 1] == []


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_what_a_public_module_has_without_an_underscore_is_in_its_list(name):
    """Both ways: nothing leaks out by an import."""
    module = importlib.import_module(name)
    own = {
        attr
        for attr, value in vars(module).items()
        if not attr.startswith("_")
        and getattr(value, "__module__", "").partition(".")[0] == "gopark"
        and attr != "set_public_module"
    }
    assert own <= set(module.__all__)


@pytest.mark.parametrize(("name", "value"), OBJECTS, ids=ids(OBJECTS))
def test_a_public_object_says_the_module_it_is_found_in(name, value):
    if name.count(".") - (value.__qualname__.count(".")) >= 1:
        assert value.__module__.partition("._")[0] == value.__module__ or "." in value.__qualname__
        if "." not in value.__qualname__:
            assert f"{value.__module__}.{value.__qualname__}" == name


def test_the_package_is_typed_and_has_a_version():
    assert (ROOT / "py.typed").exists()
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", gopark.__version__)


# --- docstrings -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=map(module_name, SOURCES))
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize(("name", "value"), CALLABLES, ids=ids(CALLABLES))
def test_a_public_object_has_an_example_and_names_its_origin(name, value):
    doc = inspect.getdoc(value)
    assert doc, name
    if name == "gopark.testing.wait_all_parked" or ">>>" in doc:
        assert "Example:" in doc
    assert ">>>" in doc
    assert re.search(r"^Go: ", doc, re.MULTILINE), name


@pytest.mark.parametrize(("name", "value"), OBJECTS, ids=ids(OBJECTS))
def test_the_names_under_raises_exist(name, value):
    doc = inspect.getdoc(value) or ""
    section = re.search(r"^Raises:\n((?:[ \t]+.*\n?)+)", doc, re.MULTILINE)
    if section is None:
        return
    for error in re.findall(r"^    (\w+):", section[1], re.MULTILINE):
        public = (
            gopark, gopark.context, gopark.exec, gopark.http, gopark.net, gopark.tls,
            gopark.testing.leak, gopark.workqueue,
        )  # fmt: skip
        places = (*public, builtins, asyncio, ssl)
        cls = next((vars(one)[error] for one in places if error in vars(one)), None)
        if cls is None:
            cls = getattr(importlib.import_module("gopark._runtime.base.errors"), error)
        assert issubclass(cls, BaseException)
    assert re.search(r"^    \w+:", section[1], re.MULTILINE)


@pytest.mark.parametrize(("name", "value"), OBJECTS, ids=ids(OBJECTS))
def test_the_arguments_a_docstring_lists_are_the_functions(name, value):
    doc = inspect.getdoc(value) or ""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?)+)", doc, re.MULTILINE)
    if section is None:
        return
    listed = {
        arg.strip()
        for line in re.findall(r"^    ([\w, ]+):", section[1], re.MULTILINE)
        for arg in line.split(",")
    }
    assert listed <= set(inspect.signature(value).parameters)


DOCUMENTED = [(name, value) for name, value in OBJECTS if ">>>" in (inspect.getdoc(value) or "")]


@pytest.mark.parametrize(("name", "value"), DOCUMENTED, ids=ids(DOCUMENTED))
def test_the_example_runs(name, value):
    finder = doctest.DocTestFinder(recurse=False)
    globs = {"gopark": gopark, "ctypes": ctypes, "threading": threading}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    (test,) = finder.find(value, name, module=False, globs=globs)
    output = []
    result = runner.run(test, out=output.append)
    assert result.attempted > 0
    assert result.failed == 0, "".join(output)


# --- layers -----------------------------------------------------------------------------------


def imports_of(path):
    """The gopark modules that a source file imports when it is loaded, in order."""
    tree = ast.parse(path.read_text())
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            if (node.module or "").partition(".")[0] == "gopark":
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                found += [
                    full
                    if (ROOT / full.partition(".")[2].replace(".", "/")).with_suffix(".py").exists()
                    else node.module
                    for full in names
                ]
        elif isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.partition(".")[0] == "gopark"]
    return found


RUNTIME = sorted((ROOT / "_runtime").rglob("*.py"))
# From the bottom up, as `_runtime/__init__.py` has them.
ROOMS = "base report sched chan time net c signal scope main prof bubble check".split()  # noqa: SIM905


@pytest.mark.parametrize("path", RUNTIME, ids=[f"{p.parent.name}-{p.stem}" for p in RUNTIME])
def test_the_runtime_imports_nothing_above_itself(path):
    for name in imports_of(path):
        assert name.startswith("gopark._runtime"), name


def room_of(module: str) -> str:
    """`gopark._runtime.ROOM.module`"""
    return module.split(".")[2]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_may_touch_and_touches_nothing_else(room):
    path = ROOT / "_runtime" / room
    said = ast.get_docstring(ast.parse((path / "__init__.py").read_text()))
    allowed = said.partition("May touch: ")[2].rstrip(".")
    before = ROOMS[: ROOMS.index(room)]
    if allowed.startswith("the rooms before it"):
        may = set(before) - set(re.findall(r"\w+", allowed.partition("but not")[2]))
    else:
        may = set(re.findall(r"\w+", allowed)) & set(ROOMS)
    assert may <= set(before), "an arrow back"
    for file in path.glob("*.py"):
        touched = {room_of(name) for name in imports_of(file)} - {"twin"}  # below all of them
        assert touched <= may | {room}, file


def test_every_room_has_its_place():
    assert {p.parent.name for p in RUNTIME} == {*ROOMS, "_runtime"}
    map_ = (ROOT / "_runtime" / "__init__.py").read_text()
    assert " · ".join(ROOMS) in map_


def test_imports_inside_the_runtime_run_one_way():
    """A topological order exists; imports inside functions count as well."""
    needs = {
        p.stem: {name.rpartition(".")[2] for name in imports_of(p)} - {*ROOMS, "_runtime", p.stem}
        for p in RUNTIME
        if p.stem != "__init__"
    }
    order: list[str] = []
    while needs:
        free = sorted(name for name, deps in needs.items() if deps <= set(order))
        assert free, f"a circle among {needs}"
        order += free
        for name in free:
            del needs[name]
    assert order.index("runtime2") < order.index("proc") < order.index("rt0")


def test_public_modules_only_gather_names_of_the_runtime():
    for path in SOURCES:
        if "_runtime" in path.parts:
            continue
        for name in imports_of(path):
            assert name.split(".")[0] == "gopark"


@pytest.mark.parametrize("path", SOURCES, ids=map(module_name, SOURCES))
def test_a_source_file_has_at_most_600_lines(path):
    assert len(path.read_text().splitlines()) <= 600


def test_the_core_needs_nothing_but_the_standard_library():
    import sys

    for path in SOURCES:
        # The plugin alone loads it.
        extra = {"pytest"} if path.name in ("_plugin.py", "_fixtures.py") else set()
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                if (path.name, name) == ("_interpreter.py", "_xxsubinterpreters"):
                    continue  # CPython 3.11's own, and tried only where `_thread` does not tell
                assert top in sys.stdlib_module_names | {"gopark"} | extra, f"{path.name}: {name}"


@pytest.mark.parametrize("path", SOURCES, ids=[f"{p.parent.name}-{p.stem}" for p in SOURCES])
def test_the_tests_that_a_module_names_exist(path):
    tests = pathlib.Path(__file__).parent
    for name in re.findall(r"\btests/([\w/]+\w(?:\.py)?)", path.read_text()):
        assert (tests / name).exists(), name


@pytest.mark.parametrize("module", sorted({*PUBLIC_MODULES} - {"gopark.testing.plugin"}))
def test_dir_shows_public_names_only(module):
    module = importlib.import_module(module)
    names = [name for name in dir(module) if not (name.startswith("__") and name.endswith("__"))]
    assert names == sorted(module.__all__)
    assert all(hasattr(module, name) for name in dir(module))


# --- the tree ---------------------------------------------------------------------------------


# What is no text, and belongs here: pictures of the docs and nothing else.
PICTURES = ("docs/images/", ".png")
LARGEST = 400_000  # bytes


def tracked():
    """The files that git knows, from the root of the tree."""
    root = pathlib.Path(__file__).parent.parent
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True
        ).stdout.split(b"\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no checkout, or there is no git")
    return root, [os.fsdecode(name) for name in listed if name]


def test_no_stray_binary_lies_in_the_tree():
    """A wheel, an archive, a library, a profile: what was made or fetched is not tracked."""
    root, names = tracked()
    assert "pyproject.toml" in names
    stray = []
    for name in names:
        path = root / name
        if not path.is_file():
            continue  # removed, and not committed yet
        data = path.read_bytes()
        picture = name.startswith(PICTURES[0]) and name.endswith(PICTURES[1])
        if len(data) > LARGEST or (b"\0" in data and not picture):
            stray.append(name)
            continue
        if not picture:
            try:
                data.decode()
            except UnicodeDecodeError:
                stray.append(name)
    assert stray == []


def test_nothing_but_the_usual_lies_in_the_root():
    _, names = tracked()
    top = {name for name in names if "/" not in name} - {"hatch_build.py"}  # where hatchling looks
    assert {pathlib.PurePath(name).suffix for name in top} <= {"", ".md", ".toml", ".yml"}


def test_imports_of_the_live_page_run_one_way():
    """Those for the type checker count as well: _http, _api and _plain were a circle."""
    needs = {
        p.stem: {
            name.rpartition(".")[2] for name in imports_of(p) if name.startswith("gopark._debug.")
        }
        for p in sorted((ROOT / "_debug").glob("*.py"))
        if p.stem not in ("__init__", "_serve")  # which imports the server when it is called
    }
    order: list[str] = []
    while needs:
        free = sorted(name for name, deps in needs.items() if deps <= set(order))
        assert free, f"a circle among {needs}"
        order += free
        for name in free:
            del needs[name]
    assert order.index("_answer") < order.index("_api") < order.index("_http")
