"""Answers for other processes of the same user: `gopark dump` and `gopark top`.

Nothing listens here. Who wants to know something listens himself, on a socket in a private
directory, and sends SIGURG, which does nothing to a program that does not wait for it:
  1. the asker   makes the directory (mode 0700), listens in it, and then has the socket be called
                 `PID-anything.sock`: one of that name that refuses was left by a dead asker
  2. the asker   sends SIGURG
  3. this side   looks for sockets with its own PID, connects to each, and answers, line by line,
                 on a thread of its own, until the other side hangs up
  4. both        see that the other runs under the same user (by the kernel's word)
The directory belongs to the user and to nobody else, so another's sockets cannot be in it; one
that does not look so is left alone, and the next place is taken. In `/tmp` anybody can make the
directory first; the last place is in the user's home, where nobody can.

A request is a word, an answer its length in bytes, a newline, and the bytes. No request changes
anything.

Locks: `_lock` guards `_serving`. Source: none. Tests: tests/cmd/test_dump.py
"""

from __future__ import annotations

import _thread
import os
import stat
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from gopark._runtime.base.lockrank import lasting
from gopark._runtime.report.traceback import tracebackothers
from gopark._runtime.sched.snapshot import snapshot
from gopark._runtime.sched.startm import ourthreads, watchers

if TYPE_CHECKING:
    import socket

__all__ = ("heard", "meetingplaces", "private", "sameuser")

_TIMEOUT: Final = 10.0  # seconds for the other side to take what it asked for

_lock: Final = lasting(threading.Lock())
_serving: set[str] = set()  # sockets that a thread talks to


def meetingplaces(env: Mapping[str, str], uid: int) -> list[str]:
    """Where the two sides may meet, the best place first."""
    places = []
    runtime = env.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):
        places.append(os.path.join(runtime, "gopark"))
    for parent in (env.get("TMPDIR", ""), "/tmp"):
        place = os.path.join(parent, f"gopark-{uid}")
        if os.path.isabs(parent) and place not in places:
            places.append(place)
    # Nobody else can have been there first, as in /tmp.
    home = env.get("HOME", "")
    if os.path.isabs(home):
        places.append(os.path.join(home, ".cache", "gopark"))
    return places


def private(place: str, uid: int) -> bool:
    """A directory of this user's that nobody else may look into."""
    try:
        status = os.lstat(place)
    except OSError:
        return False
    mode = status.st_mode
    return stat.S_ISDIR(mode) and status.st_uid == uid and not mode & 0o077


def sameuser(sock: socket.socket, uid: int) -> tuple[bool, int]:
    """Whether the other side runs under this user, and its process; 0 if the system keeps quiet."""
    import socket
    import struct

    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True, 0  # the directory is private, and that has to do
    pid, peer, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, option, 12))
    return peer == uid, pid


def heard() -> None:
    """A SIGURG has come: see whether somebody asks. Called with no lock held; does not wait."""
    uid = os.geteuid()
    mine = f"{os.getpid()}-"
    for place in meetingplaces(os.environ, uid):
        if not private(place, uid):
            continue
        for name in os.listdir(place):
            if name.startswith(mine) and name.endswith(".sock"):
                answer(os.path.join(place, name))


def answer(path: str) -> None:
    """Talk to who listens on this socket, on a thread of its own."""
    with _lock:
        if path in _serving:
            return
        _serving.add(path)
    try:
        _thread.start_new_thread(_serve, (path,))
    except (RuntimeError, MemoryError):
        _serve(path, once=True)  # no more threads: on this one, which has other things to do


def _serve(path: str, once: bool = False) -> None:
    me = threading.get_ident()
    if not once:
        ourthreads.add(me)
        watchers.add(me)
    try:
        _talk(path, once)
    except Exception:
        pass  # the other side has gone away
    finally:
        _serving.discard(path)
        if not once:
            watchers.discard(me)
            ourthreads.discard(me)


def _talk(path: str, once: bool) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_TIMEOUT)
        try:
            sock.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # of one that was killed
            return
        if not sameuser(sock, os.geteuid())[0]:
            return
        version = sys.modules["gopark"].__version__
        sock.sendall(f"gopark {version}\n".encode())
        if not once:
            sock.settimeout(None)  # the other side may look at what it got for as long as it likes
        with sock.makefile("rb") as requests:
            for line in requests:
                make = _answers.get(line.decode(errors="replace").strip())
                text = b"" if make is None else make().encode(errors="replace")
                sock.sendall(b"%d\n" % len(text) + text)
                if once:
                    break


def _top() -> str:
    import json

    return json.dumps(snapshot())


_answers: Final[dict[str, Callable[[], str]]] = {"dump": tracebackothers, "top": _top}


def forget() -> None:
    """In the child of a fork: nobody talks to anyone."""
    _serving.clear()
