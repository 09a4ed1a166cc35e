"""The file of a trace: its user's alone, no link followed, and a disk that is full is told of."""

from __future__ import annotations

import gzip
import os
import stat

import pytest

import gopark
from gopark.trace import _out
from harness import run_python

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and links are of POSIX")

PROGRAM = "import gopark; gopark.run(gopark.time.sleep, 0.001)"
FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def open_to_all():
    """A user whose new files everybody may read."""
    before = os.umask(0)
    yield
    os.umask(before)


def traced(path):
    gopark.trace.start(path)
    gopark.run(gopark.time.sleep, 0.001)
    gopark.trace.stop()


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_a_file_that_is_made_is_its_users_alone(tmp_path, open_to_all, name):
    path = tmp_path / name
    traced(path)
    assert mode(path) == 0o600
    data = path.read_bytes()
    assert b"traceEvents" in (gzip.decompress(data) if name.endswith(".gz") else data)


def test_a_file_that_is_there_is_emptied_and_closed_to_others(tmp_path):
    path = tmp_path / "trace.json"
    path.write_text("x" * 1_000_000)
    path.chmod(0o666)
    traced(path)
    assert mode(path) == 0o600
    assert "xxx" not in path.read_text()


@pytest.mark.parametrize("there", [True, False], ids=["to-a-file", "to-nothing"])
def test_no_link_is_followed(tmp_path, there):
    target, link = tmp_path / "target", tmp_path / "trace.json"
    if there:
        target.write_text("precious")
    link.symlink_to(target)
    with pytest.raises(OSError, match="a link, which is not followed; remove it") as caught:
        gopark.trace.start(link)
    assert caught.value.filename == str(link)
    assert not gopark.trace.is_enabled()
    assert target.exists() == there
    assert not there or target.read_text() == "precious"


def test_a_file_with_a_second_name_is_left_alone(tmp_path):
    (tmp_path / "target").write_text("precious")
    os.link(tmp_path / "target", tmp_path / "trace.json")
    with pytest.raises(OSError, match="a hard link"):
        gopark.trace.start(tmp_path / "trace.json")
    assert (tmp_path / "target").read_text() == "precious"


def test_the_file_of_another_user_is_left_alone(tmp_path, monkeypatch):
    path = tmp_path / "trace.json"
    path.write_text("precious")
    path.chmod(0o666)
    monkeypatch.setattr(_out.os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(OSError, match="the file of another user"):
        gopark.trace.start(path)
    assert path.read_text() == "precious"
    assert mode(path) == 0o666


def test_what_the_environment_names_is_no_link_either(tmp_path):
    target, link = tmp_path / "target", tmp_path / "trace.json"
    target.write_text("precious")
    link.symlink_to(target)
    ended = run_python(["-c", PROGRAM], env={"GOPARKTRACE": str(link)})
    assert ended.status == 1
    assert "a link, which is not followed" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert target.read_text() == "precious"
    file = tmp_path / "other.json"
    ended = run_python(["-c", f"import os; os.umask(0); {PROGRAM}"], env={"GOPARKTRACE": str(file)})
    assert (ended.stderr, ended.status, mode(file)) == ("", 0, 0o600)


def test_links_of_the_system_are_meant():
    ended = run_python(["-c", PROGRAM], env={"GOPARKTRACE": "/dev/stdout"})
    assert (ended.stderr, ended.status) == ("", 0)
    assert "traceEvents" in ended.stdout


@FULL
@pytest.mark.parametrize("path", ["/dev/full"])
def test_a_full_disk_is_told_of_with_the_file(path):
    gopark.trace.start(path)
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        gopark.trace.stop()


@FULL
@pytest.mark.parametrize("end", ["gopark.time.sleep, 0", "gopark.Chan().recv"])
def test_a_full_disk_is_told_of_when_the_program_ends(end):
    program = f"import gopark; gopark.run({end})"
    ended = run_python(["-c", program], env={"GOPARKTRACE": "/dev/full"})
    said = ended.stderr.splitlines()
    (line,) = [line for line in said if line.startswith("gopark: ")]
    assert "No space left on device: '/dev/full'" in line
    assert "Exception ignored" not in ended.stderr


@FULL
def test_a_full_disk_is_told_of_by_the_flight_recorder():
    recorder = gopark.trace.FlightRecorder()
    recorder.start()
    try:
        gopark.run(gopark.time.sleep, 0.001)
        with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
            recorder.write_to("/dev/full")
    finally:
        recorder.stop()


def test_the_name_of_a_file_that_cannot_be_made_reaches_no_terminal_as_a_command():
    ended = run_python(["-c", PROGRAM], env={"GOPARKTRACE": "/no\x1b[31m\n/such"})
    assert ended.status == 1
    assert ended.stderr.startswith("gopark: GOPARKTRACE=/no\\x1b[31m\\n/such: ")
    assert ended.stderr.count("\n") == 1
