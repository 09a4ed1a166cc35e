"""`gopark dump`: from a process in whatever state, which goes on; and why it may be impossible."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading

import pytest

from dumps import goroutines
from gopark._cmd import Failed, _ask, main
from gopark._runtime.base.runtime2 import FREETHREADED
from gopark._runtime.signal import remote
from harness import Ended, run_python, start_python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what can be asked")


def dump(pid, *args, **env):
    return run_python(["-m", "gopark", "dump", *args, str(pid)], env=env)


@pytest.mark.parametrize("name", ["StuckSpin", "StuckCall", "StuckNotify", "StuckBusy"])
def test_every_goroutine_of_a_process_that_hangs_and_goes_on(hanging, name):
    child = hanging(name)
    for _ in range(2):
        with _ask.connect(child.pid, 120) as process:
            first, *others = goroutines(process.ask("dump"))
        assert first.goid == 1
        assert [g.what for g in others if g.functions == ["waits"]] == ["chan receive"] * 2
        if not FREETHREADED or name == "StuckCall":
            assert first.functions[-1] == f"stuck_{name.removeprefix('Stuck').lower()}"
    os.kill(child.pid, 0)


def test_the_command_prints_it(parked):
    ended = dump(parked.pid)
    assert (ended.stderr, ended.status) == ("", 0)
    (g,) = goroutines(ended.stdout)
    assert (g.goid, g.what, g.functions) == (1, "sleep", ["main"])


def test_the_second_way_where_the_program_has_a_wake_up_descriptor_of_its_own(hanging):
    with _ask.connect(hanging("StuckWakeup").pid, 20) as process:
        assert process.ask("dump").startswith("goroutine 1 [running]:\n")


PARKED = """
import gopark
async def main():
    gopark.debug.strict_deadlock()  # who asks is no help from outside
    gopark.go(says)
    await gopark.time.sleep(1000)
async def says():
    await gopark.testing.wait_all_parked()
    print("ready", flush=True)
gopark.run(main)
"""


@pytest.fixture
def parked():
    child = start_python(["-c", PARKED])
    child.expect("ready")
    yield child
    child.kill()
    child.end()


def test_many_ask_at_once(parked):
    texts = []

    def ask():
        with _ask.connect(parked.pid, 120) as process:
            texts.extend(process.ask("dump") for _ in range(3))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 12
    assert all(text.startswith("goroutine 1 [sleep]:\n") for text in texts)


def test_who_is_about_to_listen_while_others_ask_is_answered_too(parked, monkeypatch):
    """The process looks who is there when anybody sends it the signal."""
    listen = socket.socket.listen

    def late(sock):
        monkeypatch.setattr(socket.socket, "listen", listen)
        with _ask.connect(parked.pid, 120) as other:
            for _ in range(3):
                assert other.ask("dump")
        listen(sock)

    monkeypatch.setattr(socket.socket, "listen", late)
    with _ask.connect(parked.pid, 120) as process:
        assert process.ask("dump").startswith("goroutine 1 [sleep]:\n")


BUSY = """
import gopark
async def echo(there, back):
    async for value in there:
        await back.send(value)
async def pings():
    there, back = gopark.Chan(), gopark.Chan()
    gopark.go(echo, there, back)
    while True:
        await there.send(1)
        await back.recv()
def plain():
    while True:
        sum(range(1000))
        gopark.block(gopark.time.sleep(0.0005))
async def ends():
    await gopark.gosched()
async def starts():
    while True:
        gopark.go(ends)
        await gopark.time.sleep(0.0005)
async def main():
    gopark.runtime.gomaxprocs(4)
    for fn in (pings, pings, pings, plain, plain, starts):
        gopark.go(fn)
    print("ready", flush=True)
    await gopark.time.sleep(1000)
gopark.run(main)
"""


def test_of_a_busy_program_again_and_again():
    """Frames are read while others run, stacks move on, goroutines come and go."""
    child = start_python(["-c", BUSY])
    child.expect("ready")
    try:
        with _ask.connect(child.pid, 120) as process:
            for _ in range(20):
                first, *others = goroutines(process.ask("dump"))
                assert first.goid == 1
                assert len(others) >= 6
                seen = json.loads(process.ask("top"))
                assert sum(group[0] for group in seen["groups"]) >= 7
        os.kill(child.pid, 0)
    finally:
        child.kill()
        child.end()


DIES = """
import signal
import gopark
async def main():
    ch = gopark.Chan(1)
    gopark.signal.notify(ch, signal.SIGUSR1)
    print("ready", flush=True)
    await ch.recv()
    gopark.signal.stop(ch)
    await gopark.Chan().recv()
gopark.run(main)
"""


def test_who_asks_is_no_help_from_outside():
    """A deadlock is found while somebody is connected, and he is told that the process ended."""
    child = start_python(["-c", DIES])
    child.expect("ready")
    with _ask.connect(child.pid, 120) as process:
        assert process.ask("dump").startswith("goroutine 1 [")
        os.kill(child.pid, signal.SIGUSR1)
        ended = child.end()
        assert ended.stderr.startswith("fatal error: all goroutines are asleep - deadlock!\n")
        assert ended.status == 2
        with pytest.raises(Failed, match=f"process {child.pid} has ended, or was ended, while"):
            process.ask("dump")


def test_nothing_is_left_in_the_folder_and_the_folder_is_the_users_own(tmp_path):
    child = start_python(["-c", PARKED], env={"XDG_RUNTIME_DIR": str(tmp_path)})
    child.expect("ready")
    try:
        folder = tmp_path / "gopark"
        folder.mkdir(mode=0o700)
        dead = folder / f"{child.pid}-dead.sock"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(dead))  # of one that was killed while it listened
        with _ask.connect(child.pid, 120) as process:
            assert process.ask("dump").startswith("goroutine 1 ")
            assert process.ask("nonsense") == ""
            assert folder.stat().st_mode & 0o777 == 0o700
        deadline = 60_000
        while dead.exists() and deadline:
            deadline -= 1
            threading.Event().wait(0.005)
        assert list(folder.iterdir()) == []
    finally:
        child.kill()
        child.end()


def test_a_folder_that_others_may_enter_is_not_used(tmp_path):
    env = {"XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path)}
    folders = [tmp_path / "gopark", tmp_path / f"gopark-{os.geteuid()}"]
    for folder in folders:
        folder.mkdir(mode=0o755)
    child = start_python(["-c", PARKED], env=env)
    child.expect("ready")
    try:
        with _ask.connect(child.pid, 120) as process:  # in /tmp, then
            assert process.ask("dump").startswith("goroutine 1 ")
        assert not remote.private(str(folders[0]), os.geteuid())
    finally:
        child.kill()
        child.end()


def test_private_means_a_folder_of_mine_for_me_alone(tmp_path):
    uid = os.geteuid()
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to(mine)
    assert remote.private(str(mine), uid)
    assert not remote.private(str(mine), uid + 1)
    assert not remote.private(str(link), uid)
    assert not remote.private(str(tmp_path / "nowhere"), uid)


def test_places_to_meet():
    assert remote.meetingplaces({"XDG_RUNTIME_DIR": "/run/user/7"}, 7) == [
        "/run/user/7/gopark",
        "/tmp/gopark-7",
    ]
    assert remote.meetingplaces({"XDG_RUNTIME_DIR": "relative", "TMPDIR": "/var/t"}, 7) == [
        "/var/t/gopark-7",
        "/tmp/gopark-7",
    ]
    assert remote.meetingplaces({"HOME": "/home/gopher"}, 7) == [
        "/tmp/gopark-7",
        "/home/gopher/.cache/gopark",
    ]


def occupied(tmp_path, monkeypatch, home="home"):
    """An environment in which somebody was everywhere first, but perhaps for the home."""
    env = {"XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path), "HOME": str(tmp_path / home)}
    usual = remote.meetingplaces

    def places(env, uid):  # /tmp itself is not the test's
        return [place for place in usual(env, uid) if not place.startswith("/tmp/gopark-")]

    monkeypatch.setattr(_ask, "meetingplaces", places)
    return env


def test_when_others_were_everywhere_first_the_two_meet_in_the_home(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="gp") as short:  # a socket's path has 107 bytes
        meetathome(pathlib.Path(short), monkeypatch)


def meetathome(tmp_path, monkeypatch):
    env = occupied(tmp_path, monkeypatch)
    (tmp_path / "gopark").mkdir(mode=0o755)
    (tmp_path / f"gopark-{os.geteuid()}").symlink_to(tmp_path)
    (tmp_path / "home").mkdir()
    child = start_python(["-c", PARKED], env=env)
    child.expect("ready")
    try:
        with _ask.connect(child.pid, 120) as process:
            assert process.ask("dump").startswith("goroutine 1 ")
        assert (tmp_path / "home" / ".cache" / "gopark").stat().st_mode & 0o777 == 0o700
    finally:
        child.kill()
        child.end()


def test_when_there_is_no_place_to_meet_it_says_why_and_what_to_do(tmp_path, monkeypatch):
    env = occupied(tmp_path, monkeypatch, home="file")
    (tmp_path / "file").write_text("")
    (tmp_path / "gopark").mkdir(mode=0o755)
    (tmp_path / f"gopark-{os.geteuid()}").write_text("")
    lstat = os.lstat

    def owned(path, *args, **kw):
        found = lstat(path, *args, **kw)
        if str(path) == str(tmp_path / "gopark"):
            return os.stat_result([*found[:4], 12345, *found[5:10]])
        return found

    child = start_python(["-c", PARKED], env=env)
    child.expect("ready")
    try:
        for theirs in (False, True):
            if theirs:
                monkeypatch.setattr(os, "lstat", owned)
            with pytest.raises(Failed) as failed:
                _ask.connect(child.pid, 120)
            said = str(failed.value)
            folder = tmp_path / "gopark"
            if theirs:
                assert f"{folder} was made by user '#12345', and only '#12345' or root" in said
            else:
                assert f"{folder} is open to others: `chmod 700 {folder}`" in said
            assert f"{folder}-{os.geteuid()} is no folder: remove it" in said
            assert "file/.cache/gopark: Not a directory" in said
            assert f"`kill -QUIT {child.pid}`" in said
            assert "XDG_RUNTIME_DIR" in said
    finally:
        child.kill()
        child.end()


# --- who cannot be asked ----------------------------------------------------------------------


@pytest.fixture
def says(capsys):
    """`says(text, pid)`: the command fails with one line that has this in it."""

    def says(text, *args):
        assert main(["dump", *map(str, args)]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("gopark dump: ")
        assert text in err
        assert err.count("\n") == 1

    return says


def test_no_such_process(says):
    says("no process 4194305; `pgrep -fa python` lists those of Python", 4194305)
    says("no process 99999999999999999999: there is no such number", 99999999999999999999)


def test_no_number(capsys):
    with pytest.raises(SystemExit):
        main(["dump", "prog.py"])
    err = capsys.readouterr().err
    assert "'prog.py' is not the number of a process; `pgrep -f prog.py` finds" in err


def test_of_another_user(monkeypatch):
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(Failed, match=r"belongs to user \S+, and only that user .*: sudo -u "):
        _ask.connect(os.getpid(), 1)


def test_no_program_of_gopark(says):
    sleeper = subprocess.Popen(["sleep", "1000"])
    try:
        says("does not listen: it is no program of gopark's, or gopark.run is not", sleeper.pid)
        says(
            "once its main thread is in gopark.run(main); without that it can show them",
            sleeper.pid,
        )
        sleeper.send_signal(signal.SIGSTOP)
        while "T" not in pathlib.Path(f"/proc/{sleeper.pid}/stat").read_text().rpartition(")")[2]:
            pass
        says(f"is stopped; `kill -CONT {sleeper.pid}` lets it go on, and answer", sleeper.pid)
        sleeper.send_signal(signal.SIGKILL)
        while "Z" not in pathlib.Path(f"/proc/{sleeper.pid}/stat").read_text().rpartition(")")[2]:
            pass
        says("has ended, and its parent has not taken notice yet", sleeper.pid)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_one_whose_c_code_keeps_the_interpreter_to_itself(hanging, says):
    child = hanging("HoldsGIL")
    if FREETHREADED:  # there the watching thread needs nobody's leave
        assert main(["dump", str(child.pid)]) == 0
    else:
        says("did not answer within 0.3 s: C code keeps", child.pid, "--timeout", "0.3")


def test_nobody_else_is_answered(tmp_path, monkeypatch):
    """Who listens under another user is hung up on, and who comes from another process."""
    path = str(tmp_path / f"{os.getpid()}-x.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        monkeypatch.setattr(remote, "sameuser", lambda sock, uid: (False, 0))
        remote.answer(path)
        sock, _ = listener.accept()
        with sock:
            assert sock.recv(1) == b""
        with socket.socket(socket.AF_UNIX) as intruder:
            intruder.connect(path)
            assert _ask._accept(listener, os.getppid(), os.geteuid(), 0.2, False) is None


# --- 3.14: nobody prepared it -----------------------------------------------------------------

UNPREPARED = """
import sys, threading, time
{imports}
print("ready", flush=True)
while True:
    time.sleep(0.01)
"""
ATTACH = hasattr(sys, "remote_exec") and os.access("/proc/self/mem", os.W_OK)


@pytest.mark.skipif(not ATTACH, reason="sys.remote_exec is of CPython 3.14")
@pytest.mark.parametrize(
    ("imports", "answer"),
    [
        (
            "import gopark; ch = gopark.Chan()\ndef waits(): gopark.block(ch.recv())\n"
            "threading.Thread(target=waits, daemon=True).start()",
            "goroutine ",
        ),
        ("", "is a Python program that has not imported gopark"),
    ],
)
def test_a_process_without_run_is_reached_by_remote_exec(imports, answer):
    child = start_python(["-c", UNPREPARED.format(imports=imports)])
    child.expect("ready")
    try:
        ended = dump(child.pid)
        if "is not allowed here" in ended.stderr:
            pytest.skip("this system does not allow it")
        assert answer in ended.stdout + ended.stderr, ended
        assert isinstance(ended, Ended)
    finally:
        child.kill()
        child.end()
