"""Ask another process what it does: the side that listens.

The way is told in `_runtime/signal/remote.py`.

A program answers if it is in `gopark.run` on its main thread, for then it hears SIGURG. On CPython
3.14 and later there is one more way, where the system allows one process to look into another:
`sys.remote_exec` has the other interpreter run a few lines when its main thread comes to it.

Before anything is sent, /proc tells whether the process can be asked at all; without a /proc
the signal is sent to see. It does nothing to a program that does not know it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import stat
import sys
import time
from collections.abc import Mapping
from types import TracebackType

from gopark._cmd._failed import Failed
from gopark._runtime.signal.remote import meetingplaces, private, sameuser

__all__ = ("Process", "connect")

_AGAIN = 1.0  # seconds until the signal is sent once more

_SCRIPT = """\
import sys
if "gopark" in sys.modules:
    from gopark._runtime.signal import remote
    remote.answer({path!r})
else:
    import socket
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect({path!r})
        sock.sendall(b"none\\n")
"""


class Process:
    """A process that answers."""

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.pid = pid
        self._sock = sock
        self._file = sock.makefile("rb")

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, cls: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._file.close()
        self._sock.close()

    def greeting(self) -> str:
        return self._file.readline().decode(errors="replace").strip()

    def ask(self, what: str) -> str:
        """The answer to one word."""
        try:
            self._sock.sendall(f"{what}\n".encode())
            size = self._file.readline()
            text = self._file.read(int(size)) if size else b""
        except TimeoutError:
            raise Failed(f"process {self.pid} stopped answering; {_threads(self.pid)}") from None
        except (ConnectionError, ValueError):
            size = text = b""
        if not size or len(text) < int(size):
            raise Failed(f"process {self.pid} has ended, or was ended, while it was asked")
        return text.decode(errors="replace")


def connect(pid: int, timeout: float) -> Process:
    """Reach the process, or say why not."""
    uid = _owner(pid)
    hears = _hears(pid)
    if hears is False and not hasattr(sys, "remote_exec"):
        raise Failed(_deaf(pid))
    path = _path(pid, uid)
    with socket.socket(socket.AF_UNIX) as listener:
        _listen(listener, path)
        script = path.removesuffix(".sock") + ".py"
        try:
            if hears is False:
                _inject(pid, script, path)
            sock = _accept(listener, pid, uid, timeout, hears is not False)
        finally:
            for file in (path, script):
                try:
                    os.unlink(file)
                except FileNotFoundError:
                    pass
    if sock is None:
        raise Failed(_silent(pid, timeout, hears))
    sock.settimeout(max(timeout, 5.0))
    process = Process(pid, sock)
    if not process.greeting().startswith("gopark "):
        with process:
            raise Failed(f"process {pid} is a Python program that has not imported gopark")
    return process


def _owner(pid: int) -> int:
    """The user, who has to be this one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        raise Failed(f"no process {pid}; `pgrep -fa python` lists those of Python") from None
    except PermissionError:
        pass
    except OverflowError:
        raise Failed(f"no process {pid}: there is no such number") from None
    uid = os.geteuid()
    try:
        owner = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        owner = uid
    if owner != uid:
        raise Failed(
            f"process {pid} belongs to user {_name(owner)}, and only that user may look into it: "
            f"sudo -u {_name(owner)} {' '.join(['gopark', *sys.argv[1:]])}"
        )
    state = _status(pid).get("State", "")
    if state.startswith("Z"):
        raise Failed(f"process {pid} has ended, and its parent has not taken notice yet")
    if state.startswith("T"):
        raise Failed(f"process {pid} is stopped; `kill -CONT {pid}` lets it go on, and answer")
    return uid


def _name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"'#{uid}'"


def _status(pid: int) -> Mapping[str, str]:
    """What Linux says of a process."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            pairs = (line.partition(":") for line in file)
            return {name: value.strip() for name, _, value in pairs}
    except OSError:
        return {}


def _hears(pid: int) -> bool | None:
    """Whether it catches SIGURG; None if the system does not say."""
    caught = _status(pid).get("SigCgt")
    return None if caught is None else bool(int(caught, 16) >> (signal.SIGURG - 1) & 1)


def _deaf(pid: int) -> str:
    return (
        f"process {pid} does not listen: it is no program of gopark's, or gopark.run is not "
        f"active on its main thread. A program that uses goroutines without it (callbacks from C, "
        f"`go` or `block` in plain code) answers once its main thread is in gopark.run(main); "
        f"without that it can show them itself, print(gopark.runtime.stack(all=True)) or the page "
        f"of gopark.debug.serve(). If it is another one in Python, `py-spy dump --pid {pid}` "
        f"shows its threads"
    )


# --- meeting -------------------------------------------------------------------------------


def _path(pid: int, uid: int) -> str:
    """Where to listen, as seen from here: the process may have other mounts and other numbers."""
    env = _environ(pid)
    root = "" if _samemounts(pid) else f"/proc/{pid}/root"
    inside = _status(pid).get("NSpid", str(pid)).split()[-1]
    wrong = []
    for place in meetingplaces(env, uid):
        folder = root + place
        try:
            if place.endswith("/.cache/gopark"):
                os.makedirs(os.path.dirname(folder), 0o700, exist_ok=True)
            os.mkdir(folder, 0o700)
        except OSError as exc:
            if not os.path.lexists(folder):
                wrong.append(f"{folder}: {exc.strerror}")
                continue
        if private(folder, uid):
            return os.path.join(folder, f"{inside}-{secrets.token_hex(4)}.sock")
        wrong.append(_notprivate(folder, uid))
    raise Failed(
        f"no private folder to meet process {pid} in: {'; '.join(wrong)}. Mend one of them; or "
        f"start the program with XDG_RUNTIME_DIR naming a folder of yours, as in "
        f"`XDG_RUNTIME_DIR=$HOME python ...`. `kill -QUIT {pid}` needs no folder: it has the "
        f"process print every goroutine on its stderr, and ends it"
    )


def _notprivate(folder: str, uid: int) -> str:
    """What is wrong with a folder that is there, and who can do what about it."""
    try:
        status = os.lstat(folder)
    except OSError as exc:
        return f"{folder}: {exc.strerror}"
    if status.st_uid != uid:
        owner = _name(status.st_uid)
        return f"{folder} was made by user {owner}, and only {owner} or root can remove it"
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is no folder: remove it"
    return f"{folder} is open to others: `chmod 700 {folder}`"


def _environ(pid: int) -> Mapping[str, str]:
    """The environment that the process was started with; ours if it cannot be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            items = [os.fsdecode(item).partition("=") for item in file.read().split(b"\0")]
    except OSError:
        return os.environ
    return {name: value for name, equals, value in items if equals}


def _samemounts(pid: int) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    except OSError:
        return True


def _listen(listener: socket.socket, path: str) -> None:
    """Listen, and only then be found under this name.

    The process may look at any moment, for somebody else asks it too. It removes what it is refused
    at, as left by one that was killed.
    """
    early = path.removesuffix(".sock") + ".new"
    try:
        listener.bind(early)
        listener.listen()
        os.rename(early, path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            os.unlink(early)
        raise Failed(f"cannot listen at {path}: {exc.strerror or exc}") from None


def _inject(pid: int, script: str, path: str) -> None:
    """CPython 3.14: have the other interpreter answer, though nobody prepared it."""
    with open(script, "w", encoding="utf-8") as file:
        file.write(_SCRIPT.format(path=path))
    try:
        sys.remote_exec(pid, script)  # type: ignore[attr-defined, unused-ignore]
    except PermissionError:
        raise Failed(
            f"{_deaf(pid)}. (sys.remote_exec, which could reach it, is not allowed here: it needs "
            f"the right to trace the process, see ptrace_scope in `man 2 ptrace`)"
        ) from None
    except (OSError, RuntimeError) as exc:
        raise Failed(f"{_deaf(pid)}. (sys.remote_exec: {exc})") from None


def _accept(
    listener: socket.socket, pid: int, uid: int, timeout: float, ring: bool
) -> socket.socket | None:
    """Send the signal until the process is there, or time is up."""
    until = time.monotonic() + timeout
    while (left := until - time.monotonic()) > 0:
        if ring:
            try:
                os.kill(pid, signal.SIGURG)
            except ProcessLookupError:
                raise Failed(f"process {pid} has ended meanwhile") from None
            except PermissionError:
                raise Failed(f"process {pid} is another user's by now") from None
        listener.settimeout(min(left, _AGAIN))
        try:
            sock, _ = listener.accept()
        except TimeoutError:
            continue
        same, peer = sameuser(sock, uid)
        if same and peer in (0, pid):
            return sock
        sock.close()
    return None


# --- nobody answers ------------------------------------------------------------------------


def _silent(pid: int, timeout: float, hears: bool | None) -> str:
    """Why that may be."""
    if hears is False:
        return (
            f"{_deaf(pid)}. (Asked by sys.remote_exec it did not answer within {timeout:g} s: its "
            f"main thread has not come back to Python)"
        )
    return (
        f"process {pid} did not answer within {timeout:g} s: C code keeps the interpreter to "
        f"itself, or it is no program of gopark's; {_threads(pid)}. `kill -ABRT {pid}` ends it, "
        f"and shows where its threads are if it runs under faulthandler, as `gopark run` has it; "
        f"`--timeout` waits longer"
    )


def _threads(pid: int) -> str:
    """What the system says its threads do."""
    states: dict[str, int] = {}
    try:
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/stat", "rb") as file:
                state = file.read(512).rpartition(b")")[2].split()[0].decode()
            states[state] = states.get(state, 0) + 1
    except OSError:
        return "the system does not say what its threads do"
    words = {"R": "run", "S": "sleep", "D": "wait for a disk", "T": "are stopped"}
    return "of its threads " + ", ".join(
        f"{n} {words.get(state, state)}" for state, n in sorted(states.items())
    )
