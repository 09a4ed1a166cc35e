"""Cmd: a program to be run, while it runs, and after.

Source: Go 1.27 os/exec/exec.go. Differs: without stdin, stdout or stderr a child has the null
device, as Go's has and `subprocess`'s has not; `extra_files` keep their numbers.
Tests: tests/exec/test_cmd.py, tests/exec/test_context.py
"""

from __future__ import annotations

import os
import sys
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from io import FileIO
from typing import Any, Final, TypeVar

from gopark._runtime.base.errors import nocopy
from gopark._runtime.base.printstring import shown
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.sched.newproc import go
from gopark._runtime.scope.scope import isover
from gopark._runtime.time.timechan import Timer
from gopark.context import Context
from gopark.exec._copy import Tail, descriptor, drain, feed, sink, source
from gopark.exec._errors import ExitError, WaitDelayError
from gopark.exec._lookpath import apart, words
from gopark.exec._pipe import PipeReader, PipeWriter, _Pipe, readend, writeend
from gopark.exec._process import NULL, Process, killed, start
from gopark.exec._state import ProcessState
from gopark.exec._watch import Copies, Copy, Watch, closeall, heldopen
from gopark.net._conn import duration

__all__ = ("Cmd", "Kill")

E = TypeVar("E", bound=_Pipe)

_TAIL: Final = 32 << 10  # bytes of stderr at its beginning, and as many at its end: Go's
# Of subprocess.Popen: what Go has in SysProcAttr.
_HOW: Final = frozenset(
    [
        "extra_groups",
        "group",
        "process_group",
        "restore_signals",
        "start_new_session",
        "umask",
        "user",
    ]
)


class _Gathered(list[bytes]):
    """What a child has written, piece by piece."""

    def write(self, data: bytes) -> None:
        self.append(data)


class Kill:
    """The `cancel` of `command_context`. It does not keep the Cmd that has it."""

    __slots__ = ("_cmd",)

    def __init__(self, cmd: Cmd) -> None:
        self._cmd = weakref.ref(cmd)

    def __call__(self) -> None:
        cmd = self._cmd()
        if cmd is not None and cmd.process is not None:
            cmd.process.kill()


class Cmd:
    """A program to be run: fill in the fields, then `run` it, or `start` it and `wait`.

    It runs once. `command` and `command_context` make one.

    Attributes:
        path: The program. Relative to `dir` if it is relative.
        args: Its arguments; the first is what it is called.
        env: Its environment; None: that of this process.
        dir: Where it runs; "": where this process does.
        stdin: What it reads: bytes, a file, a descriptor, or an object with `read(n)`, which may be
            an `async def`. None: nothing, the null device.
        stdout: Where its output goes: a file, a descriptor, a bytearray, or an object with
            `write(data)`, which may be an `async def`. None: nowhere.
        stderr: Where its errors go, likewise. The same object as `stdout`: in one stream, and one
            goroutine at a time writes to it.
        extra_files: More files, or descriptors, that it inherits, under their numbers.
        sys_proc_attr: How it is started: `start_new_session`, `process_group`, `user`, `group`,
            `extra_groups`, `umask`, `restore_signals`, as `subprocess.Popen` has them.
        cancel: What is called when the context is done while it runs, an `async def` maybe; it
            kills it unless something else is said. ProcessLookupError: it had ended already. None:
            nothing.
        wait_delay: Seconds that `wait` gives it after `cancel`, then it is killed; and that `wait`
            gives others who hold its pipes after its end, then these are closed. 0: for ever.
        process: The child, once it is started.
        process_state: How it ended, once it was waited for.
        err: What `look_path` has raised; `start` raises it. None: go on.
    Example:
        >>> async def main():
        ...     cmd = gopark.exec.command("tr", "a-z", "A-Z")
        ...     cmd.stdin = b"hello"
        ...     print(await cmd.output())
        >>> gopark.run(main)
        b'HELLO'

    Go: exec.Cmd.
    """

    __slots__ = (
        "__weakref__",
        "_childfiles",
        "_copies",
        "_ctx",
        "_pipes",
        "_startable",
        "_stop",
        "_waitable",
        "_watch",
        "args",
        "cancel",
        "dir",
        "env",
        "err",
        "extra_files",
        "path",
        "process",
        "process_state",
        "stderr",
        "stdin",
        "stdout",
        "sys_proc_attr",
        "wait_delay",
    )

    def __init__(self, path: str, args: Sequence[str]) -> None:
        self._startable: deque[None] = deque((None,))  # who takes the item starts it
        self._waitable: deque[None] = deque((None,))
        self._watch: Watch | None = None
        self._stop: Callable[[], bool] | None = None
        self.path, self.args = path, words(args)
        self.env: Mapping[str, str] | None = None
        self.dir: str | os.PathLike[str] = ""
        self.stdin: Any = None
        self.stdout: Any = None
        self.stderr: Any = None
        self.extra_files: Sequence[Any] = ()
        self.sys_proc_attr: Mapping[str, Any] = {}
        self.cancel: Callable[[], Any] | None = None
        self.wait_delay = 0.0
        self.process: Process | None = None
        self.process_state: ProcessState | None = None
        self.err: Exception | None = None
        self._ctx: Context | None = None
        self._childfiles: list[FileIO] = []  # the child's ends of pipes, closed here at the start
        self._pipes: list[_Pipe] = []  # ours, closed by `wait`
        self._copies: Copies | None = None

    __reduce_ex__ = nocopy

    def __repr__(self) -> str:
        how = "" if self.process is None else f" {self.process_state or 'started'}"
        return f"<Cmd {str(self)!r}{how}>"

    def __str__(self) -> str:
        if self.err is not None:
            return " ".join(self.args)
        return " ".join((self.path, *self.args[1:]))

    def environ(self) -> dict[str, str]:
        """The environment that it gets: `env`, or that of this process, and PWD if `dir` is set.

        Raises:
            TypeError: `env` is no mapping of strings.
            ValueError: a name or a value cannot be one.
        Example:
            >>> cmd = gopark.exec.command("pwd")
            >>> cmd.dir = "/tmp"
            >>> cmd.environ()["PWD"]
            '/tmp'

        Go: Cmd.Environ.
        """
        if self.env is None:
            env = dict(os.environ)
            if self.dir:
                env["PWD"] = os.path.abspath(self.dir)
            return env
        if not isinstance(self.env, Mapping):
            raise TypeError(
                f"exec: env is {shown(self.env)}: it takes a mapping, such as "
                f"os.environ | {{'A': '1'}}"
            )
        for name, value in self.env.items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError(
                    f"exec: env has {shown(name)}: {shown(value)}, which are no two strings"
                )
            if "\0" in name + value:
                raise ValueError(
                    f"exec: environment variable contains NUL: {shown(name)}: {shown(value)}"
                )
            if "=" in name[1:] or not name:
                raise ValueError(f"exec: no environment variable can be called {shown(name)}")
        return dict(self.env)

    # --- pipes -------------------------------------------------------------------------------

    def _free(self, what: str) -> None:
        if getattr(self, what) is not None:
            raise ValueError(f"exec: {what} already set: {shown(getattr(self, what))}")
        if self.process is not None:
            raise RuntimeError(f"exec: {what}_pipe after process started: ask for it before")

    def _readpipe(self, what: str) -> PipeReader:
        self._free(what)
        pipe, child = self._ends(what, readend)
        setattr(self, what, child)
        return pipe

    def _ends(self, what: str, make: Callable[[str], tuple[E, FileIO]]) -> tuple[E, FileIO]:
        """A pipe: our end, and the child's. `start` closes the one, `wait` the other."""
        pipe, child = make(f"{what} of {self.args[0] if self.args else self.path}")
        self._childfiles.append(child)
        self._pipes.append(pipe)
        return pipe, child

    def stdin_pipe(self) -> PipeWriter:
        """A pipe to its standard input, to be asked for before the start. Close it at the end.

        Raises:
            ValueError: `stdin` is set already.
            RuntimeError: the process was started already.
            OSError: there are no more descriptors to be had.
        Example:
            >>> async def main():
            ...     cmd = gopark.exec.command("wc", "-c")
            ...     cmd.stdout = out = bytearray()
            ...     with cmd.stdin_pipe() as pipe:
            ...         await cmd.start()
            ...         await pipe.write(b"four")
            ...     await cmd.wait()
            ...     print(int(out))
            >>> gopark.run(main)
            4

        Go: Cmd.StdinPipe.
        """
        self._free("stdin")
        pipe, self.stdin = self._ends("stdin", writeend)
        return pipe

    def stdout_pipe(self) -> PipeReader:
        """A pipe from its standard output, to be asked for before the start.

        `wait` closes it: read to the end before. The errors are those of `stdin_pipe`.

        Example:
            >>> async def main():
            ...     cmd = gopark.exec.command("printf", "one\\\\ntwo\\\\n")
            ...     out = cmd.stdout_pipe()
            ...     await cmd.start()
            ...     async for line in gopark.net.Reader(out):
            ...         print(line)
            ...     await cmd.wait()
            >>> gopark.run(main)
            b'one'
            b'two'

        Go: Cmd.StdoutPipe.
        """
        return self._readpipe("stdout")

    def stderr_pipe(self) -> PipeReader:
        """A pipe from its standard error, as `stdout_pipe`.

        Example:
            >>> async def main():
            ...     cmd = gopark.exec.command("sh", "-c", "echo oops >&2")
            ...     errors = cmd.stderr_pipe()
            ...     await cmd.start()
            ...     print(await errors.read())
            ...     await cmd.wait()
            >>> gopark.run(main)
            b'oops\\n'

        Go: Cmd.StderrPipe.
        """
        return self._readpipe("stderr")

    # --- start -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start it, and do not wait for its end: `wait` has to be called for that.

        Raises:
            RuntimeError: it was started already, or has a `cancel` and no context.
            NotFoundError: there is no such program.
            FileNotFoundError: `dir` is not there.
            PermissionError: it may not be run.
            OSError: it cannot be started.
            Canceled, DeadlineExceeded: the context is done already.
            TypeError: a field is of the wrong kind.
            ValueError: a field has an impossible value.
        Example:
            >>> async def main():
            ...     cmd = gopark.exec.command("true")
            ...     await cmd.start()
            ...     await cmd.wait()
            >>> gopark.run(main)

        Go: Cmd.Start.
        """
        try:
            self._startable.pop()
        except IndexError:
            raise RuntimeError(
                f"exec: already started: {self}: a Cmd runs once, make another"
            ) from None
        try:
            feeds: list[Copy] = []
            drains: list[Copy] = []
            self._check()
            self.process = self._spawn(feeds, drains)
        except BaseException:
            closeall(self._pipes)
            self._pipes = []
            raise
        finally:
            for file in self._childfiles:
                file.close()
            self._childfiles = []
        if feeds or drains:
            self._copies = Copies(feeds, drains)
        ctx = self._ctx
        if ctx is not None and (self.cancel is not None or self.wait_delay):
            cancel = self.process.kill if isinstance(self.cancel, Kill) else self.cancel
            self._watch = Watch(
                ctx, self.process, cancel, self.wait_delay, self._copies, self._pipes
            )
            self._stop = self._watch.begin()

    def _check(self) -> None:
        if not self.path and self.err is None:
            self.err = ValueError("exec: no command: the path is empty")
        if self.err is not None:
            raise self.err
        self.wait_delay = duration("exec", self.wait_delay, "wait_delay")
        if self.cancel is not None and self._ctx is None:
            raise RuntimeError(
                "exec: command with a cancel was not created with command_context: there is "
                "nothing that would call it"
            )
        if unknown := set(self.sys_proc_attr) - _HOW:
            raise ValueError(f"exec: sys_proc_attr has {sorted(unknown)}; known: {sorted(_HOW)}")
        over = None if self._ctx is None else self._ctx.err()
        if over is not None:
            raise over

    def _spawn(self, feeds: list[Copy], drains: list[Copy]) -> Process:
        stdin = self._input(feeds)
        stdout = self._output("stdout", self.stdout, drains)
        same = self.stderr is not None and self.stderr is self.stdout
        stderr = stdout if same else self._output("stderr", self.stderr, drains)
        keep = []
        for file in self.extra_files:
            number = descriptor("extra_files", file)
            if number < 0:
                raise TypeError(
                    f"exec: extra_files has {shown(file)}, which is no file of the system"
                )
            keep.append(number)
        try:
            return start(
                self.path,
                words(self.args) or [self.path],
                (stdin, stdout, stderr),
                folder=os.fspath(self.dir),
                env=self.environ(),
                keep=keep,
                how=dict(self.sys_proc_attr),
            )
        except FileNotFoundError as exc:
            if self.dir and exc.filename == os.fspath(self.dir):
                exc.add_note("exec: it is the directory that the child was to run in, Cmd.dir")
            elif hint := apart(self.path):
                exc.add_note(f"exec: {hint}")
            raise

    def _input(self, feeds: list[Copy]) -> int:
        if self.stdin is None:
            return NULL
        number = descriptor("stdin", self.stdin)
        if number < 0:
            what = source(self.stdin)
            pipe, child = self._ends("stdin", writeend)
            feeds.append((feed, (what, pipe)))
            number = child.fileno()
        return number

    def _output(self, name: str, file: Any, drains: list[Copy]) -> int:
        if file is None:
            return NULL
        number = descriptor(name, file)
        if number < 0:
            write = sink(name, file)
            pipe, child = self._ends(name, readend)
            drains.append((drain, (pipe, write)))
            number = child.fileno()
        return number

    # --- wait --------------------------------------------------------------------------------

    async def wait(self) -> None:
        """Wait until it has ended, and all is copied; then the pipes are closed.

        Raises:
            RuntimeError: it was not started, or waited for already.
            ChildProcessError: how it ended cannot be known: somebody else has waited for it.
            Canceled, DeadlineExceeded: the context was done, and it ended well for all that.
            ExitError: it did not end with status 0.
            WaitDelayError: others hold its pipes open yet, `wait_delay` after its end.
            Exception: what `cancel` has raised, or an object that is copied to or from.
        Example:
            >>> async def main():
            ...     cmd = gopark.exec.command("sh", "-c", "exit 3")
            ...     await cmd.start()
            ...     try:
            ...         await cmd.wait()
            ...     except gopark.exec.ExitError as exc:
            ...         print(exc, exc.exit_code)
            >>> gopark.run(main)
            exit status 3 3

        Go: Cmd.Wait.
        """
        process = self.process
        if process is None:
            raise RuntimeError(f"exec: not started: {self}: await start() first, or use run()")
        try:
            self._waitable.pop()
        except IndexError:
            raise RuntimeError(f"exec: wait was already called: {self}") from None
        error: Exception | None = None
        try:
            state = self.process_state = await process.wait()
        except ChildProcessError as exc:
            error = exc
        except BaseException:
            self._waitable.append(None)  # it runs on, and can be waited for
            raise
        else:
            if not state.success:
                error = ExitError(state)
        try:
            why, timer = None, None
            if self._stop is not None and self._watch is not None and not self._stop():
                why, timer = await self._watch.ended()
            copied = await self._copied(timer)
        finally:
            closeall(self._pipes)
            self._pipes = []
            self._watch = self._stop = None
        if error is not None:
            raise error from why
        if why is not None:
            raise why
        if copied is not None:
            raise copied

    async def _copied(self, timer: Timer | None) -> Exception | None:
        """Wait for those who copy. Go: awaitGoroutines."""
        copies, self._copies = self._copies, None
        try:
            if copies is None or copies.over:
                return None
            if timer is None:
                if not self.wait_delay:
                    await copies.done.recv_ok()
                if copies.finished:
                    return copies.error
                timer = Timer(self.wait_delay)
            which, _, _ = await select(recv(copies.done), recv(timer.c))
            if which == 0:
                return copies.error
            await copies.giveup(self._pipes)
            return heldopen()
        finally:
            if timer is not None:
                timer.stop()

    # --- in one ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Start it, and wait for its end: `start` and `wait`, with the errors of both.

        If a scope around it ends the wait (`gopark.timeout`), the child is killed.

        Raises:
            OSError: it cannot be started.
            ExitError: it did not end with status 0.
            Exception: what else `start` and `wait` raise.
        Example:
            >>> async def main():
            ...     await gopark.exec.command("true").run()
            >>> gopark.run(main)

        Go: Cmd.Run.
        """
        await self.start()
        try:
            await self.wait()
        except BaseException:
            if isover():  # nobody else will wait for it
                self.process_state = await killed(self.process)
                closeall(self._pipes)
                if self._stop is not None and self._stop():
                    self._watch = None
            raise

    async def output(self) -> bytes:
        """Run it, and give what it has written to standard output.

        Raises:
            OSError: it cannot be started.
            ValueError: `stdout` is set already.
            ExitError: it did not end with status 0. The error has what it wrote to standard output,
                and to standard error if `stderr` is not set.
            Exception: what else `wait` raises.
        Example:
            >>> async def main():
            ...     print(await gopark.exec.command("echo", "hello").output())
            >>> gopark.run(main)
            b'hello\\n'

        Go: Cmd.Output.
        """
        if self.stdout is not None:
            raise ValueError(f"exec: stdout already set: {shown(self.stdout)}")
        tail = None
        if self.stderr is None:
            tail = self.stderr = Tail(_TAIL)
        return await self._gathered(tail)

    async def combined_output(self) -> bytes:
        """Run it, and give what it has written to standard output and standard error, as it came.

        Raises:
            OSError: it cannot be started.
            ValueError: `stdout` or `stderr` is set already.
            ExitError: it did not end with status 0. The error has what it wrote.
            Exception: what else `wait` raises.
        Example:
            >>> async def main():
            ...     cmd = gopark.exec.command("sh", "-c", "echo a; echo b >&2")
            ...     print(await cmd.combined_output())
            >>> gopark.run(main)
            b'a\\nb\\n'

        Go: Cmd.CombinedOutput.
        """
        for what in ("stdout", "stderr"):
            if getattr(self, what) is not None:
                raise ValueError(f"exec: {what} already set: {shown(getattr(self, what))}")
        return await self._gathered(None, True)

    async def _gathered(self, tail: Tail | None, both: bool = False) -> bytes:
        out = self.stdout = _Gathered()
        if both:
            self.stderr = out
        try:
            await self.run()
        except (ExitError, WaitDelayError) as exc:
            exc.stdout = b"".join(out)
            if tail is not None and isinstance(exc, ExitError):
                exc.stderr = tail.getvalue()
            raise
        return b"".join(out)

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        """Its context holds the child, to end it. So somebody has to wait for it, all the same."""
        if self._watch is None or self._stop is None or ending():
            return
        warnings.warn(f"{self!r} was not waited for", ResourceWarning, source=self, stacklevel=2)
        try:
            go(_abandoned, self._watch.process, self._stop)
        except Exception:  # the program has ended: the child's Process is dropped as well
            self._stop()


async def _abandoned(process: Process, stop: Callable[[], bool]) -> None:
    try:
        await process.wait()
    except ChildProcessError:
        pass
    stop()
