"""ProcessState: how a child ended, and what it has used.

Source: Go 1.27 os/exec_posix.go. Tests: tests/exec/test_process.py
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import resource

__all__ = ("ProcessState",)


@dataclass(frozen=True, slots=True)
class ProcessState:
    """How a process ended.

    Attributes:
        pid: Its number, which another has by now, maybe.
        status: The status as the system has it, see `os.waitstatus_to_exitcode`.
        rusage: What it and those of its children that it has waited for have used.
    Example:
        >>> async def main():
        ...     cmd = gopark.exec.command("true")
        ...     await cmd.run()
        ...     print(cmd.process_state, cmd.process_state.success)
        >>> gopark.run(main)
        exit status 0 True

    Go: os.ProcessState.
    """

    pid: int
    status: int
    rusage: resource.struct_rusage

    @property
    def exit_code(self) -> int:
        """Its exit status; -1 if it was ended by a signal. Go: ProcessState.ExitCode."""
        return os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else -1

    @property
    def signal(self) -> int:
        """The number of the signal that ended it; 0 if none did. Go: WaitStatus.Signal."""
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else 0

    @property
    def exited(self) -> bool:
        """It has ended by itself. Go: ProcessState.Exited."""
        return os.WIFEXITED(self.status)

    @property
    def success(self) -> bool:
        """It has ended by itself, with status 0. Go: ProcessState.Success."""
        return self.status == 0

    @property
    def user_time(self) -> float:
        """Seconds of processor time in its own code. Go: ProcessState.UserTime."""
        return self.rusage.ru_utime

    @property
    def system_time(self) -> float:
        """Seconds of processor time in the kernel. Go: ProcessState.SystemTime."""
        return self.rusage.ru_stime

    def __str__(self) -> str:
        number = self.signal
        if not number:
            return f"exit status {self.exit_code}"
        name = (signal.strsignal(number) or f"signal {number}").lower()
        core = " (core dumped)" if os.WCOREDUMP(self.status) else ""
        return f"signal: {name}{core}"
