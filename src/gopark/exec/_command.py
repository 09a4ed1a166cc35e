"""`command` and `command_context`: what makes a Cmd.

Source: Go 1.27 os/exec/exec.go (Command). Tests: tests/exec/test_cmd.py
"""

from __future__ import annotations

import os

from gopark._runtime.base.printstring import shown
from gopark.context import Context
from gopark.context._with import checked
from gopark.exec._cmd import Cmd, Kill
from gopark.exec._errors import DotError, Error
from gopark.exec._lookpath import look_path

__all__ = ("command", "command_context")


def _string(who: str, what: str, value: object) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        how = f"{who}(*words)" if isinstance(value, list | tuple) else "str(), or fsdecode"
        raise TypeError(f"{who}() needs strings, and got {shown(value)} as {what}: use {how}")
    return value


def _command(who: str, name: object, args: tuple[object, ...]) -> Cmd:
    path = _string(who, "name", name)
    cmd = Cmd(path, [path, *(_string(who, f"argument {i}", a) for i, a in enumerate(args, 1))])
    if path and "/" not in path:
        try:
            cmd.path = look_path(path)
        except Error as exc:
            cmd.err = exc
            if isinstance(exc, DotError):
                cmd.path = exc.path
    return cmd


def command(name: str | os.PathLike[str], *args: str | os.PathLike[str]) -> Cmd:
    """A program to be run, with its arguments. No shell has part in it.

    Args:
        name: The program: a name, looked for by `look_path`, or a path. If there is none `start`
            says so.
        args: Its arguments.
    Raises:
        TypeError: one of them is no string.
    Example:
        >>> async def main():
        ...     print(await gopark.exec.command("echo", "hello").output())
        >>> gopark.run(main)
        b'hello\\n'

    Go: exec.Command.
    """
    return _command("command", name, args)


def command_context(
    ctx: Context, name: str | os.PathLike[str], *args: str | os.PathLike[str]
) -> Cmd:
    """As `command`, and the program is killed if `ctx` is done before it has ended.

    `Cmd.cancel` says what else is to be done then, and `Cmd.wait_delay` how long it may take.

    Args:
        ctx: The context.
        name, args: As for `command`.
    Raises:
        TypeError: `ctx` is no context, or another is no string.
    Example:
        >>> async def main():
        ...     with gopark.context.with_timeout(gopark.context.background(), 0.01) as ctx:
        ...         try:
        ...             await gopark.exec.command_context(ctx, "sleep", "60").run()
        ...         except gopark.exec.ExitError as exc:
        ...             print(exc, "because of", repr(exc.__cause__))
        >>> gopark.run(main)
        signal: killed because of DeadlineExceeded('context deadline exceeded')

    Go: exec.CommandContext.
    """
    checked("command_context", ctx)
    cmd = _command("command_context", name, args)
    cmd._ctx = ctx
    cmd.cancel = Kill(cmd)
    return cmd
