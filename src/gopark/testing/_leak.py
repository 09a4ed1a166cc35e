"""Goroutines that a test has left behind.

What is looked for is any goroutine that nobody expects, whatever it does: one that sleeps or
computes is a leak to a test, though it may end one day. A goroutine that is about to end gets
time to: the look is taken again, after pauses that grow, until there is nobody or the patience
ends. Only then are those marked that wait for ever (`debug.leaks`), which costs a search.

Whose a goroutine is: `scope` sets a context variable, and `go` hands that on with the context
it copies, so all that was started from there has it, at whatever remove.

The tasks of a hosted event loop count as goroutines do; the loop's own goroutine does not.

Source: go.uber.org/goleak leaks.go, options.go. Tests: tests/testing/test_leak.py
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context as Variables
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import GDEAD, G, allgs, getg
from gopark._runtime.prof.mgcleak import leakedgs
from gopark._runtime.prof.proflabel import contextvalue
from gopark._runtime.report.traceback import createdby, gframes, gtraceback, threadstates
from gopark._runtime.time.timesleep import gosched, nap

__all__ = (
    "LeakError",
    "Option",
    "cleanup",
    "find",
    "ignore_any_function",
    "ignore_created_by",
    "ignore_current",
    "ignore_top_function",
    "max_retry",
    "scope",
    "scoped",
    "verify_none",
)

_ATTEMPTS: Final = 20
_FIRST: Final = 1e-6  # seconds, doubled at each attempt
_LONGEST: Final = 0.1


class LeakError(AssertionError):
    """There were goroutines that nobody expected. Its text is their stacks.

    Attributes:
        stacks: One text for each goroutine, as in a dump.
    Example:
        >>> async def main():
        ...     gopark.go(gopark.Chan().recv)
        ...     try:
        ...         await gopark.testing.leak.verify_none(gopark.testing.leak.max_retry(1))
        ...     except gopark.testing.leak.LeakError as err:
        ...         print(len(err.stacks))
        >>> gopark.run(main)
        1

    Go: the error of goleak.Find.
    """

    stacks: tuple[str, ...]

    def __init__(self, stacks: tuple[str, ...]) -> None:
        super().__init__("found unexpected goroutines:\n\n" + "\n".join(stacks))
        self.stacks = stacks


class _Seen(NamedTuple):
    """What options judge a goroutine by."""

    goid: int
    functions: tuple[str, ...]  # innermost first
    creator: str
    g: G | None  # None: a task
    last: bool  # the look that decides
    variables: Variables | None = None  # of a task, where Python tells


class Pending(NamedTuple):
    """A task that has not ended."""

    key: int  # no goroutine's number
    functions: tuple[str, ...]
    variables: Variables | None
    text: str


class _Doors:
    """Set by gopark.asyncio."""

    tasks: Callable[[G | None], list[Pending]] | None = None  # but for who waits for this one


doors: Final = _Doors()
_OURS: Final = ("gopark.signal.", "gopark.asyncio.")  # who starts goroutines that nobody ends


class Option:
    """What `find` and `verify_none` take; made by the functions of this module.

    Example:
        >>> gopark.testing.leak.max_retry(3)
        <Option max_retry(3)>

    Go: goleak.Option.
    """

    __slots__ = ("_attempts", "_cleanup", "_ignores", "_text")

    def __init__(
        self,
        text: str,
        ignores: Callable[[_Seen], bool] | None = None,
        cleanup: Callable[[], object] | None = None,
        attempts: int = 0,
    ) -> None:
        self._text = text
        self._ignores = ignores
        self._cleanup = cleanup
        self._attempts = attempts

    def __repr__(self) -> str:
        return f"<Option {self._text}>"


# --- options ---------------------------------------------------------------------------------


def ignore_top_function(name: str) -> Option:
    """Expect goroutines that are in this function, innermost of their stack.

    Args:
        name: As in a dump: module and qualified name, `main.worker`.
    Raises:
        TypeError: it is not a string.
    Example:
        >>> gopark.testing.leak.ignore_top_function("main.worker")
        <Option ignore_top_function('main.worker')>

    Go: goleak.IgnoreTopFunction.
    """
    _named("ignore_top_function", name)
    return Option(f"ignore_top_function({name!r})", lambda seen: seen.functions[:1] == (name,))


def ignore_any_function(name: str) -> Option:
    """Expect goroutines that have this function anywhere on their stack.

    Args:
        name: As in a dump: module and qualified name, `main.worker`.
    Raises:
        TypeError: it is not a string.
    Example:
        >>> gopark.testing.leak.ignore_any_function("main.serve")
        <Option ignore_any_function('main.serve')>

    Go: goleak.IgnoreAnyFunction.
    """
    _named("ignore_any_function", name)
    return Option(f"ignore_any_function({name!r})", lambda seen: name in seen.functions)


def ignore_created_by(name: str) -> Option:
    """Expect goroutines that were started in this function.

    Args:
        name: As in a dump, behind `created by`.
    Raises:
        TypeError: it is not a string.
    Example:
        >>> gopark.testing.leak.ignore_created_by("main.start_pool")
        <Option ignore_created_by('main.start_pool')>

    Go: goleak.IgnoreCreatedBy.
    """
    _named("ignore_created_by", name)
    return Option(f"ignore_created_by({name!r})", lambda seen: seen.creator == name)


def ignore_current() -> Option:
    """Expect the goroutines that exist now, and the tasks of a hosted event loop.

    Example:
        >>> before = gopark.testing.leak.ignore_current()
        >>> gopark.block(gopark.testing.leak.verify_none(before))

    Go: goleak.IgnoreCurrent.
    """
    now = {g.goid for g in allgs.copy()}
    if doors.tasks is not None:
        now.update(task.key for task in doors.tasks(None))
    return Option("ignore_current()", lambda seen: seen.goid in now)


def cleanup(fn: Callable[[], object]) -> Option:
    """Have `verify_none` call this when it is done, leak or no leak.

    Args:
        fn: A plain function without arguments.
    Raises:
        TypeError: it cannot be called.
    Example:
        >>> gopark.block(gopark.testing.leak.verify_none(
        ...     gopark.testing.leak.ignore_current(),
        ...     gopark.testing.leak.cleanup(lambda: print("closed")),
        ... ))
        closed

    Go: goleak.Cleanup.
    """
    if not callable(fn):
        raise TypeError(f"cleanup() needs a function, got {shown(fn)}")
    return Option(f"cleanup({shown(fn)})", cleanup=fn)


def max_retry(attempts: int) -> Option:
    """Look so many times before a goroutine that is still there counts as leaked.

    Args:
        attempts: 20 unless said otherwise, which takes half a second. The pauses between them
            grow from a microsecond to a tenth of a second.
    Raises:
        ValueError: it is less than one.
        TypeError: it is not an integer.
    Example:
        >>> gopark.testing.leak.max_retry(1)
        <Option max_retry(1)>

    Go: goleak.MaxRetryAttempts.
    """
    if not isinstance(attempts, int) or isinstance(attempts, bool):
        raise TypeError(f"max_retry() needs an integer, got {shown(attempts)}")
    if attempts < 1:
        raise ValueError(f"max_retry() needs one attempt at least, got {shown(attempts)}")
    return Option(f"max_retry({shown(attempts)})", attempts=attempts)


def _named(who: str, name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(
            f"{who}() needs the name of a function as dumps have it, 'main.worker', "
            f"got {shown(name)}"
        )


# --- whose a goroutine is ------------------------------------------------------------------------

_scope: Final[ContextVar[object]] = ContextVar("gopark_leak_scope")


def scope() -> object:
    """From here on all that comes from the calling goroutine is of a scope of its own."""
    mark = object()
    _scope.set(mark)
    return mark


def scoped(mark: object) -> Option:
    """Look at the goroutines of one scope only.

    On a free-threaded build one that runs does not show its own: it may be of this scope until
    the last look, and then counts as one that is not.
    """

    def ignores(seen: _Seen) -> bool:
        if seen.g is None:
            return seen.variables is not None and seen.variables.get(_scope) is not mark
        found = contextvalue(seen.g, _scope, _NONE, _UNKNOWN)
        return found is not mark and (seen.last or found is not _UNKNOWN)

    return Option("scoped(...)", ignores)


_NONE: Final = object()
_UNKNOWN: Final = object()


# --- looking -------------------------------------------------------------------------------------


async def find(*options: Option) -> LeakError | None:
    """The goroutines that should not be there, if any are left after some patience.

    The calling goroutine does not count, nor does the one of `gopark.signal`. In plain code use
    `gopark.block(find())`.

    Args:
        options: Who is expected, and for how long to wait for the others to end.
    Returns:
        An error that can be raised, or None.
    Raises:
        TypeError: an option is not one.
        ValueError: there is a `cleanup` among them, which is for `verify_none`.
    Example:
        >>> async def main():
        ...     gopark.go(gopark.Chan().recv)
        ...     err = await gopark.testing.leak.find()
        ...     print(str(err).splitlines()[0])
        >>> gopark.run(main)
        found unexpected goroutines:

    Go: goleak.Find.
    """
    _checked("find", options)
    if any(option._cleanup for option in options):
        raise ValueError("find() calls no cleanup function; pass it to verify_none()")
    return await _find(options)


async def verify_none(*options: Option) -> None:
    """Raise unless all goroutines but the calling one have ended, or are expected.

    One that is about to end has time to. In plain code use `gopark.block(verify_none())`.

    Args:
        options: Who is expected, and for how long to wait for the others to end.
    Raises:
        LeakError: there are others. Those that wait for ever are marked `(leaked)`.
        TypeError: an option is not one.
    Example:
        >>> async def main():
        ...     gopark.go(print, "done")
        ...     await gopark.testing.leak.verify_none()
        >>> gopark.run(main)
        done

    Go: goleak.VerifyNone.
    """
    _checked("verify_none", options)
    try:
        err = await _find(options)
        if err is not None:
            raise err
    finally:
        for option in options:
            if option._cleanup is not None:
                option._cleanup()


def _checked(who: str, options: tuple[Any, ...]) -> None:
    for option in options:
        if not isinstance(option, Option):
            raise TypeError(
                f"{who}() needs options, as gopark.testing.leak has them, got {shown(option)}"
            )


async def _find(options: tuple[Option, ...]) -> LeakError | None:
    attempts = max((option._attempts for option in options), default=0) or _ATTEMPTS
    pause = _FIRST
    for _ in range(attempts - 1):
        if not unexpected(options):
            return None
        await gosched()
        await nap(pause)
        pause = min(pause * 2, _LONGEST)
    if not unexpected(options):
        return None
    leakedgs()
    threads = threadstates()
    left = unexpected(options, last=True)
    texts = [g.text if isinstance(g, Pending) else gtraceback(g, threads=threads) for g in left]
    stacks = tuple(text for text in texts if text)
    return LeakError(stacks) if stacks else None


def unexpected(options: tuple[Option, ...], last: bool = False) -> list[G | Pending]:
    """Who is there and not expected, by number; tasks behind goroutines."""
    me = getg()
    others = [g for g in allgs.copy() if g is not me and g.status is not GDEAD]
    threads = threadstates() if others else {}
    judges = [option._ignores for option in options if option._ignores is not None]
    left: list[G | Pending] = []
    for g in sorted(others, key=lambda g: g.goid):
        frames = gframes(g, g.status, threads=threads)
        creator = createdby(g).partition("created by ")[2].split(" in goroutine", 1)[0]
        functions = tuple(frame[0] for frame in frames)
        seen = _Seen(g.goid, functions, creator.split("\n", 1)[0], g, last)
        if not creator.startswith(_OURS) and not any(judge(seen) for judge in judges):
            left.append(g)
    for task in [] if doors.tasks is None else doors.tasks(me):
        seen = _Seen(task.key, task.functions, "", None, last, task.variables)
        if not any(judge(seen) for judge in judges):
            left.append(task)
    return left
