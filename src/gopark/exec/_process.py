"""Process: a child that runs, or that has ended and was not waited for.

Waiting is looking at its pidfd, a descriptor in the poller that can be read once the child has
ended. Where there is none (an old kernel, or GOPARKDEBUG=pidfd=0) a plain goroutine calls `waitid`
in state syscall, which costs a thread for that time. Either leaves the child as it is (WNOWAIT).
Where there is no `waitid` (macOS before Python 3.13) that goroutine looks now and then, and takes
the child when it has ended. Who takes it, so that its number can become another's, does so under
`_lock`, and so does who sends it a signal: none reaches a stranger.

`subprocess.Popen` starts it, and is dropped at once: it forks as fast as Python can (vfork where
that is possible), and closes and restores in the child what is to be.

Locks: `_lock`, a leaf. Source: Go 1.27 os/exec_unix.go, os/pidfd_linux.go, os/wait_waitid.go.
Differs: a Process that is dropped is waited for (_reaper.py). Tests: tests/exec/test_process.py
"""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from io import FileIO
from typing import Any, Final, NoReturn, cast

from gopark._poll.errors import ClosedError
from gopark._poll.fd import FD
from gopark._runtime.base.errors import nocopy
from gopark._runtime.base.lockrank import Holding, Mutex
from gopark._runtime.c.cgocall import call
from gopark._runtime.chan.chan import Chan
from gopark._runtime.sched.finq import later
from gopark._runtime.sched.newproc import go
from gopark._runtime.scope.scope import shelter
from gopark._util import integer
from gopark.exec._reaper import adopt, pidfd
from gopark.exec._state import ProcessState

__all__ = ("NULL", "Process", "start")

NULL: Final = -3  # the null device: subprocess.DEVNULL
_NAP: Final = 0.0005, 0.05  # seconds between two looks, the first and the longest: subprocess's


class _PidFD(FD):
    """The pidfd in the poller; its Process closes it."""

    __slots__ = ()

    def _dropped(self) -> None: ...


def _ended(pid: int) -> Callable[[int], bytes]:
    """What `FD.read` calls: it raises while the child runs."""

    def look(_: int) -> bytes:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            raise BlockingIOError
        return b""

    return look


def _open(pid: int) -> FD | None:
    number = pidfd(pid) if hasattr(os, "waitid") else -1
    if number < 0:
        return None
    raw = FileIO(number, "r")
    try:
        return _PidFD(raw, _ended(pid), len, f"process {pid}")
    except OSError:  # there is no room in the poller
        raw.close()
        return None


async def _onthread(wait: Callable[[], object]) -> None:
    """Wait without a descriptor. On a thread that may wait: the one of `run` is to return.

    Raises:
        ChildProcessError: it is no child that can be waited for.
    """
    ended: Chan[Exception | None] = Chan(1)

    def waits() -> None:
        error = None
        try:
            wait()
        except ChildProcessError as exc:
            error = exc
        ended.try_send(error)

    go(waits)
    error = await ended.recv()
    if error is not None:
        raise error


class Process:
    """A process that `Cmd.start` has started.

    Attributes:
        pid: Its number.
    Example:
        >>> async def main():
        ...     cmd = gopark.exec.command("sleep", "60")
        ...     await cmd.start()
        ...     cmd.process.kill()
        ...     print(await cmd.process.wait())
        >>> gopark.run(main)
        signal: killed

    Go: os.Process.
    """

    __slots__ = ("__weakref__", "_fd", "_lock", "_owner", "_state", "_taken", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._owner = os.getpid()
        self._lock = Mutex((None,))
        self._state: ProcessState | None = None
        self._taken = False  # nobody can wait for it, or signal it, any more
        self._fd: FD | None = None
        self._fd = _open(pid)

    def __repr__(self) -> str:
        return f"<Process {self.pid}{' ended' if self._taken else ''}>"

    __reduce_ex__ = nocopy

    async def wait(self) -> ProcessState:
        """Wait until it has ended. May be called again, and by several: all get the same.

        Of a `Cmd` use its `wait`, which waits for what is copied, too.

        Raises:
            ChildProcessError: somebody else has waited for it, or the program ignores SIGCHLD: how
                it ended cannot be known.
        Example:
            >>> async def main():
            ...     cmd = gopark.exec.command("false")
            ...     await cmd.start()
            ...     print(await cmd.process.wait())
            >>> gopark.run(main)
            exit status 1

        Go: Process.Wait.
        """
        try:
            fd = self._fd
            if self._taken:
                pass
            elif self._owner != os.getpid():
                self._lost()  # in the child of a fork
            elif fd is not None:
                await fd.read(1)
            else:
                await _onthread(self._waitid if hasattr(os, "waitid") else self._lookout)
        except ClosedError:
            pass  # another goroutine was quicker
        except ChildProcessError:
            self._lost()
        self._take(0)
        if self._state is None:
            self._unknown()
        return self._state

    def _waitid(self) -> None:
        call(os.waitid, os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def _lookout(self) -> None:
        nap, longest = _NAP
        while not self._take(os.WNOHANG):
            call(time.sleep, nap)
            nap = min(nap * 2, longest)

    def _take(self, options: int) -> bool:
        """Once it has ended, it is no zombie any more after this; False: it runs yet."""
        with Holding(self._lock):
            try:
                if not self._taken:
                    pid, status, rusage = os.wait4(self.pid, options)
                    if not pid:
                        return False
                    self._taken = True
                    self._state = ProcessState(pid, status, rusage)
            except ChildProcessError:
                self._taken = True
            fd, self._fd = self._fd, None
        if fd is not None:
            fd.close()
        return True

    def _lost(self) -> None:
        with Holding(self._lock):
            self._taken = True

    def _unknown(self) -> NoReturn:
        raise ChildProcessError(
            f"wait for process {self.pid}: it is no child that can be waited for. Somebody else "
            "has done that (os.wait, os.waitpid(-1, ...)), or SIGCHLD is ignored: let neither be"
        )

    def signal(self, sig: int) -> None:
        """Send it a signal.

        Args:
            sig: Such as `signal.SIGTERM`.
        Raises:
            ProcessLookupError: it has ended, and was waited for.
            PermissionError: it runs as another user by now.
            ValueError: there is no such signal.
            TypeError: `sig` is no integer.
        Example:
            >>> import signal
            >>> async def main():
            ...     cmd = gopark.exec.command("sleep", "60")
            ...     await cmd.start()
            ...     cmd.process.signal(signal.SIGTERM)
            ...     print(await cmd.process.wait())
            >>> gopark.run(main)
            signal: terminated

        Go: Process.Signal.
        """
        integer("Process.signal", "sig", sig)
        number = signal.Signals(sig) if sig else 0
        with Holding(self._lock):
            if self._taken:
                raise ProcessLookupError(f"process {self.pid} has ended, and was waited for")
            if self._fd is not None:
                signal.pidfd_send_signal(self._fd.fd, number)
            else:
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once, by SIGKILL; its own children go on. It is to be waited for yet.

        Raises:
            ProcessLookupError: it has ended, and was waited for.
        Example:
            >>> async def main():
            ...     cmd = gopark.exec.command("sleep", "60")
            ...     await cmd.start()
            ...     cmd.process.kill()
            ...     print(await cmd.process.wait())
            >>> gopark.run(main)
            signal: killed

        Go: Process.Kill.
        """
        self.signal(signal.SIGKILL)

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if self._taken or ending():
            return
        mine = self._owner == os.getpid()
        later(_dropped, self.pid if mine else 0, self._fd)
        if mine:
            warnings.warn(
                f"process {self.pid} was not waited for", ResourceWarning, source=self, stacklevel=2
            )


def _dropped(pid: int, fd: FD | None) -> None:
    if fd is not None:
        fd.close()
    if pid:
        adopt(pid)


def start(
    path: str,
    argv: Sequence[str],
    files: tuple[int, int, int],
    *,
    folder: str,
    env: dict[str, str],
    keep: Sequence[int],
    how: dict[str, Any],
) -> Process:
    """Start a program. Go: os.StartProcess.

    Raises:
        OSError: it cannot be started.
    """
    import subprocess  # who starts no child is not to pay for it

    popen: Any = call(
        cast(Any, subprocess.Popen),
        argv,
        # Popen looks in $PATH for what has no slash, which is `look_path`'s to do.
        executable=path if "/" in path else f"./{path}",
        stdin=files[0],
        stdout=files[1],
        stderr=files[2],
        cwd=folder or None,
        env=env,
        pass_fds=keep,
        **how,
    )
    popen.returncode = 0  # it is no more its business
    return Process(popen.pid)


async def killed(process: Process | None) -> ProcessState | None:
    """How it has ended, if that can be known, once it has been killed; no scope ends this wait."""
    assert process is not None
    try:
        process.kill()
    except ProcessLookupError:
        pass
    try:
        with shelter():
            return await process.wait()
    except ChildProcessError:
        return None
