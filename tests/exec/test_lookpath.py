"""look_path. After Go's os/exec/lp_test.go, lp_unix_test.go, dot_test.go."""

from __future__ import annotations

import os

import pytest

from gopark import exec
from gopark.exec import DotError, Error, NotExecutableError, NotFoundError, look_path


@pytest.fixture
def program(tmp_path, monkeypatch):
    """One in a folder that is the current one."""
    path = tmp_path / "execabs-test"
    path.write_text("#!/bin/sh\necho ran\n")
    path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return path


@pytest.mark.go("os/exec", "TestLookPathNotFound")
@pytest.mark.parametrize("name", ["", ".", "..", "executable-not-in-path"])
def test_look_path_not_found(name):
    with pytest.raises(NotFoundError) as info:
        look_path(name)
    assert info.value.name == name
    assert isinstance(info.value, FileNotFoundError)
    assert isinstance(info.value, Error)


@pytest.mark.go("os/exec", "TestLookPath")
@pytest.mark.parametrize("path", [":", "."])
def test_look_path__in_the_current_directory(program, monkeypatch, path):
    monkeypatch.setenv("PATH", path)
    with pytest.raises(DotError, match="relative to current directory") as info:
        look_path("execabs-test")
    assert info.value.path == "./execabs-test"
    assert look_path("./execabs-test") == "./execabs-test"
    assert look_path(str(program)) == str(program)


@pytest.mark.go("os/exec", "TestLookPathUnixEmptyPath")
def test_look_path_unix_empty_path(program, monkeypatch):
    """It has no entry, not one that is empty."""
    for change in (lambda: monkeypatch.setenv("PATH", ""), lambda: monkeypatch.delenv("PATH")):
        change()
        with pytest.raises(NotFoundError):
            look_path("execabs-test")


@pytest.mark.go("os/exec", "TestLookPath")
async def test_look_path__err_may_be_cleared(program, monkeypatch):
    cmd = exec.command("execabs-test")
    with pytest.raises(NotFoundError):
        await cmd.run()
    monkeypatch.setenv("PATH", "." + os.pathsep + os.environ["PATH"])
    cmd = exec.command("execabs-test")
    with pytest.raises(DotError):
        await cmd.run()
    cmd = exec.command("execabs-test")
    cmd.err = None
    assert await cmd.output() == b"ran\n"


@pytest.mark.go("os/exec", "TestLookPath")
def test_look_path__an_absolute_entry(program, monkeypatch):
    monkeypatch.setenv("PATH", f"/no/such/folder{os.pathsep}{program.parent}")
    assert look_path("execabs-test") == str(program)


def test_what_is_no_program(tmp_path):
    (tmp_path / "data").write_text("data")
    with pytest.raises(NotExecutableError, match="permission denied"):
        look_path(str(tmp_path / "data"))
    with pytest.raises(NotExecutableError, match="is a directory"):
        look_path(str(tmp_path))
    with pytest.raises(NotFoundError, match="no such file"):
        look_path(str(tmp_path / "none"))
    with pytest.raises(Error):
        look_path("/bin/a\0b")
    with pytest.raises(TypeError, match="needs a name"):
        look_path(b"sh")
