"""What is built: a wheel of this platform with a compiler, the pure one without, or an error."""

from __future__ import annotations

import importlib.util
import pathlib
import shutil
import sys
import sysconfig
from types import SimpleNamespace

import pytest

import gopark

SOURCE = pathlib.Path(gopark.__file__).parents[2] / "hatch_build.py"
pytestmark = pytest.mark.skipif(not SOURCE.exists(), reason="the sources of the twin are not here")


@pytest.fixture
def hook(monkeypatch):
    """The build hook, fresh; hatchling's base class is not needed for what it decides."""
    monkeypatch.setitem(sys.modules, "hatchling", None)
    spec = importlib.util.spec_from_file_location("hatch_build", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def wheel(hook):
    """What the hook makes of a wheel: hatchling's data for it, and the warnings."""

    def make(target: str = "wheel", version: str = "standard"):
        said: list[str] = []
        twin = hook.Twin()
        twin.target_name = target
        twin.app = SimpleNamespace(display_warning=said.append)
        data: dict = {"force_include": {}}
        twin.initialize(version, data)
        return data, said

    return make


@pytest.fixture
def compiler(hook):
    if hook.unsuited():
        pytest.skip(hook.unsuited())
    if shutil.which(hook.compiler()) is None:
        pytest.skip("no C compiler")


@pytest.mark.usefixtures("compiler")
def test_with_a_compiler_a_wheel_is_of_this_interpreter_and_has_the_twin(wheel):
    data, said = wheel()
    assert (data["pure_python"], data["infer_tag"], said) == (False, True, [])
    ((made, where),) = data["force_include"].items()
    assert where == f"gopark/_runtime/_twin/native{sysconfig.get_config_var('EXT_SUFFIX')}"
    assert pathlib.Path(made).stat().st_size > 10_000


def test_without_one_the_wheel_is_pure_and_it_is_said(wheel, monkeypatch):
    monkeypatch.setenv("CC", "/nonexistent/cc")
    data, said = wheel()
    assert data == {"force_include": {}}
    assert len(said) == 1
    assert said[0].startswith("gopark: a pure wheel, without the compiled twin: ")


def test_without_one_it_is_an_error_for_who_asks_for_the_twin(wheel, monkeypatch):
    monkeypatch.setenv("CC", "/nonexistent/cc")
    monkeypatch.setenv("GOPARK_BUILD_TWIN", "1")
    with pytest.raises(RuntimeError, match="GOPARK_BUILD_TWIN=1, and the twin cannot be built: "):
        wheel()


@pytest.mark.usefixtures("compiler")
def test_what_the_compiler_says_is_told(wheel, monkeypatch, tmp_path):
    fails = tmp_path / "cc"
    fails.write_text("#!/bin/sh\necho no such thing as a header >&2\nexit 1\n")
    fails.chmod(0o700)
    monkeypatch.setenv("CC", str(fails))
    assert "no such thing as a header" in wheel()[1][0]


def test_a_free_threaded_build_gets_the_pure_wheel(wheel, hook, monkeypatch):
    monkeypatch.setattr(hook.sysconfig, "get_config_var", lambda name: name == "Py_GIL_DISABLED")
    data, said = wheel()
    assert data == {"force_include": {}}
    assert "the twin is for builds with the GIL, so far" in said[0]


@pytest.mark.parametrize(
    ("target", "version", "asked"),
    [("sdist", "standard", "1"), ("wheel", "editable", "1"), ("wheel", "standard", "0")],
)
def test_nothing_is_compiled_for(wheel, monkeypatch, target, version, asked):
    monkeypatch.setenv("GOPARK_BUILD_TWIN", asked)
    monkeypatch.setenv("CC", "/nonexistent/cc")
    assert wheel(target, version) == ({"force_include": {}}, [])


@pytest.mark.usefixtures("compiler")
def test_by_hand_it_goes_where_it_is_told(hook, tmp_path, capsys):
    hook.main([str(tmp_path / "new"), "-O0"])
    made = pathlib.Path(capsys.readouterr().out.strip())
    assert made.parent == tmp_path / "new"
    assert made.stat().st_size > 10_000
