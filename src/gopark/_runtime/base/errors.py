"""The errors of the runtime, each with whose fault it is.

A user's mistake that the caller can mend (send on a closed channel, `go` of a
coroutine object) is an ordinary exception. The end of the whole program is a
`SystemExit` with status 2, as in Go. Three classes are `BaseException`s because
they unwind a goroutine and are nobody's error: `Goexit`, `ProgramEnded`, `ScopeEnded`.

Source: Go 1.27 runtime/error.go, panic.go. Tests: tests/runtime/test_errors.py
"""

from __future__ import annotations

from typing import NoReturn

from gopark._runtime.base.printstring import shown

__all__ = (
    "AmidRuntime",
    "BubbleDeadlockError",
    "ClosedChannelError",
    "DeadlockError",
    "FatalError",
    "Goexit",
    "NotOnGError",
    "ProgramEnded",
    "ScopeEnded",
    "Throw",
    "nocopy",
)


def nocopy(self: object, *_: object) -> NoReturn:
    """Stands in for `__reduce_ex__`: refuse copy.copy, copy.deepcopy and pickle.

    For what others know by being the very object: a copy would be another.
    """
    classes = (cls for cls in type(self).__mro__ if "._" not in cls.__module__)
    cls = next(classes, type(self))  # the one that users know, not what we have made of it
    name = f"{cls.__module__}.{cls.__qualname__}".removeprefix("gopark.")
    raise TypeError(
        f"{name} must not be copied: the copy would share nothing with {shown(self)}; "
        "pass the object itself"
    )


class FatalError(SystemExit):
    """The program has ended with Go's exit status 2; its report is already on stderr.

    `run` raises it when a goroutine other than main let an exception escape (that
    exception is the `__cause__`) or when the runtime found that it cannot go on.

    Go: runtime.fatalpanic, runtime.fatal.
    """

    def __init__(self, message: str) -> None:
        super().__init__(2)
        self.message = message

    def __str__(self) -> str:
        return self.message

    def again(self) -> FatalError:
        """The same for one more goroutine: what two threads raise is two objects."""
        other = type(self)(self.message)
        other.__cause__ = self.__cause__
        return other


class DeadlockError(FatalError):
    """Every goroutine waits and nothing can wake one. Go: runtime.checkdead."""


class BubbleDeadlockError(RuntimeError):
    """Every goroutine of a bubble is blocked for good. Go: runtime.synctestDeadlockError.

    `stacks` shows the goroutines, and a traceback of the error does.
    """

    def __init__(self, message: str, stacks: str = "") -> None:
        super().__init__(message)
        self.stacks = stacks
        if stacks:
            self.add_note("\n" + stacks.rstrip("\n"))


class ClosedChannelError(RuntimeError):
    """A send on, or a second close of, a channel that is closed. Go: runtime.plainError."""


class NotOnGError(RuntimeError):
    """A gopark awaitable was awaited where no goroutine runs, as under another event loop."""


class AmidRuntime(NotOnGError):
    """Code that came in while its thread was inside the runtime, a finalizer, would have to
    wait."""

    def __init__(self, what: str = "this") -> None:
        super().__init__(
            f"{what} would have to wait, and was called amid the runtime of gopark, by a finalizer "
            "(__del__, a weak reference's callback) that Python ran there; let a goroutine do it: "
            "gopark.go(fn)"
        )


class Goexit(BaseException):
    """Unwinds the goroutine that called `goexit`; its finally blocks run."""


class ProgramEnded(BaseException):
    """Wakes a goroutine that sits on a thread after main has returned, so the thread is freed.

    Raised out of the wait in `block`, in a plain goroutine and in a callback from C. It is
    a `BaseException` so that `except Exception` does not keep the thread for ever.
    """

    def __init__(self, message: str = "the gopark program has ended: its main returned") -> None:
        super().__init__(message)


class ScopeEnded(BaseException):
    """A wait was ended by a scope that is over: a `timeout`, or a task that was cancelled.

    Every wait in the scope raises it, until the block, or the function of the task, is left; what
    has to wait while it cleans up does so in a `context.shield()`. The end of the block makes a
    TimeoutError of it. It is a `BaseException` so that `except Exception` lets it pass.

    Go: none.
    """

    def __init__(self, message: str = "a wait in a scope that is over", scope: object = None):
        super().__init__(message)
        self.scope = scope


class Throw(BaseException):
    """The runtime found its own state broken: a bug in gopark, never caught. Go: runtime.throw."""
