"""Child processes: start them, talk to them, wait for them, end them in time. Go: package os/exec.

Who waits for a child, or for its pipes, is parked and costs no thread: a child is a descriptor
(pidfd) in the network poller, and so are the pipes. SIGCHLD is left alone.
"""

from gopark._util import set_public_module
from gopark.exec._cmd import Cmd as Cmd
from gopark.exec._command import command as command
from gopark.exec._command import command_context as command_context
from gopark.exec._errors import DotError as DotError
from gopark.exec._errors import Error as Error
from gopark.exec._errors import ExitError as ExitError
from gopark.exec._errors import NotExecutableError as NotExecutableError
from gopark.exec._errors import NotFoundError as NotFoundError
from gopark.exec._errors import WaitDelayError as WaitDelayError
from gopark.exec._lookpath import look_path as look_path
from gopark.exec._pipe import PipeReader as PipeReader
from gopark.exec._pipe import PipeWriter as PipeWriter
from gopark.exec._process import Process as Process
from gopark.exec._state import ProcessState as ProcessState

__all__ = (
    "Cmd",
    "DotError",
    "Error",
    "ExitError",
    "NotExecutableError",
    "NotFoundError",
    "PipeReader",
    "PipeWriter",
    "Process",
    "ProcessState",
    "WaitDelayError",
    "command",
    "command_context",
    "look_path",
)

set_public_module(__name__, globals())
