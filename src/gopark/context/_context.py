"""What a context is, the two roots, the two errors, and walking up a chain of contexts.

A chain may be as long as a program makes it, so everything that goes along one is a loop:
looking up a value, printing. Who answers `done` and `err` for a context (its governor) never
changes, and is looked up once, when the context is made.

Locks: none. A context of this file never changes after it was made.
Source: Go 1.27 context/context.go. Tests: tests/context/test_context.py
"""

from __future__ import annotations

from abc import abstractmethod
from types import FunctionType
from typing import Any, Final, NoReturn, Protocol, runtime_checkable

from gopark._runtime.chan.chan import Chan

__all__ = (
    "CANCELCTX",
    "CANCELED",
    "DEADLINE",
    "Canceled",
    "Context",
    "Ctx",
    "DeadlineExceeded",
    "Detached",
    "ValueCtx",
    "background",
    "governor",
    "handout",
    "timedby",
    "todo",
)


CANCELED: Final = "context canceled"
DEADLINE: Final = "context deadline exceeded"


class _Handed:
    """An exception that is handed out as a new object each time; all of one end are equal.

    Go hands out one value to everybody. An exception of Python's is no value: it gets a traceback
    and a context from who raises it, and two goroutines that raise one object would find each
    other's frames in it.
    """

    _model: Exception | None = None  # what it was made after

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Handed):
            return NotImplemented
        return (self._model or self) is (other._model or other)

    def __hash__(self) -> int:
        return id(self._model or self)


class Canceled(_Handed, Exception):
    """The context was cancelled. Prints as `context canceled`. Go: context.Canceled."""

    def __str__(self) -> str:
        return super().__str__() or CANCELED


class DeadlineExceeded(_Handed, TimeoutError):
    """The context's deadline has passed. Prints as `context deadline exceeded`.

    It is a TimeoutError, as the errors of sockets are.

    Go: context.DeadlineExceeded.
    """

    def __str__(self) -> str:
        return super().__str__() or DEADLINE

    def timeout(self) -> bool:
        """True: time ran out. Go: net.Error."""
        return True

    def temporary(self) -> bool:
        """True: another try may succeed. Go: net.Error."""
        return True


def handout(model: Exception) -> Exception:
    """The same error as an object of its own, which nobody has raised yet.

    An error of somebody else's making stays the object that it is.
    """
    if type(model) is not Canceled and type(model) is not DeadlineExceeded:
        return model
    err = type(model)(*model.args)
    err._model = model._model or model
    if model.__cause__ is not None:
        err.__cause__ = model.__cause__  # a traceback of the error shows the reason as well
    return err


@runtime_checkable
class Context(Protocol):
    """A deadline, a signal to stop, and values, which travel with a request.

    Every function of this module takes any object with these four methods; one may derive
    from this class, but need not. If it also has `after_func(fn)`, which arranges for `fn()`
    to be called once it is done and returns a function that undoes this and tells whether it
    could, then a child needs no goroutine of its own to hear of the end.

    Example:
        >>> class Tenant(gopark.context.Context):
        ...     def __init__(self, parent, name):
        ...         self.parent, self.name = parent, name
        ...     def deadline(self): return self.parent.deadline()
        ...     def done(self): return self.parent.done()
        ...     def err(self): return self.parent.err()
        ...     def value(self, key):
        ...         return self.name if key == "tenant" else self.parent.value(key)
        >>> tenant = Tenant(gopark.context.background(), "acme")
        >>> with gopark.context.with_cancel(tenant) as ctx:
        ...     print(ctx.value("tenant"), ctx.err())
        acme None

    Go: context.Context.
    """

    __slots__ = ()

    @abstractmethod
    def deadline(self) -> float | None:
        """When the context will be done at the latest, None if no time is set.

        Returns:
            Seconds on the monotonic clock (`gopark.time.monotonic`); the same at each call.
        Example:
            >>> print(gopark.context.background().deadline())
            None

        Go: context.Context.Deadline.
        """
        raise NotImplementedError

    @abstractmethod
    def done(self) -> Chan[Any] | None:
        """A channel that is closed once the work is to stop; None if that never happens.

        Returns:
            The same channel at each call. It is there to be received from, in a `select` most
            of the time, where None is never ready.
        Example:
            >>> async def main():
            ...     with gopark.context.with_timeout(gopark.context.background(), 0.001) as ctx:
            ...         await ctx.done().recv()
            ...         print(ctx.err())
            >>> gopark.run(main)
            context deadline exceeded

        Go: context.Context.Done.
        """
        raise NotImplementedError

    @abstractmethod
    def err(self) -> Exception | None:
        """None until the context is done, then why: `Canceled` or `DeadlineExceeded`.

        Returns:
            An exception of its own at each call, which is equal (`==`) to those of the other
            calls: `raise ctx.err()` in one goroutine leaves no frames in that of another.
        Example:
            >>> ctx, cancel = gopark.context.with_cancel(gopark.context.background())
            >>> cancel()
            >>> ctx.err()
            Canceled('context canceled')

        Go: context.Context.Err.
        """
        raise NotImplementedError

    @abstractmethod
    def value(self, key: object) -> Any:
        """The value that `with_value` has set for this key, here or further up; None if nobody has.

        Args:
            key: Matches a key that is the same object, or of the same type and equal.
        Example:
            >>> ctx = gopark.context.with_value(gopark.context.background(), "user", "ada")
            >>> print(ctx.value("user"), ctx.value("host"))
            ada None

        Go: context.Context.Value.
        """
        raise NotImplementedError


class _Key:
    """The key of `value` that finds the nearest CancelCtx, through contexts of others too."""

    def __repr__(self) -> str:
        return "gopark.context.cancelCtxKey"


CANCELCTX: Final = _Key()


class Ctx:
    """What the contexts of this package have in common."""

    __slots__ = ("__weakref__", "_parent")

    _parent: Context | None  # None: it is a root
    _gov: Context | None = None  # its governor; None: it is never done
    _timed: Context | None = None  # who knows its deadline; None: there is none

    def deadline(self) -> float | None:
        return None if self._timed is None else self._timed.deadline()

    def done(self) -> Chan[Any] | None:
        return None if self._gov is None else self._gov.done()

    def err(self) -> Exception | None:
        return None if self._gov is None else self._gov.err()

    def value(self, key: object) -> Any:
        return _lookup(self, key)

    def _governor(self) -> Context | None:
        return self._gov

    def _timedby(self) -> Context | None:
        return self._timed

    def _suffix(self) -> str:
        """What it adds to the name of its parent; of a root, its name."""
        raise NotImplementedError

    def __str__(self) -> str:
        return _describe(self)

    def __repr__(self) -> str:
        return f"<{self}>"

    def __copy__(self) -> Ctx:
        return self  # as a lock or a function: a copy of what refers to it refers to it

    def __deepcopy__(self, memo: object) -> Ctx:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {self}: a context belongs to its process")


class _Root(Ctx):
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._parent = None
        self._name = name

    def _suffix(self) -> str:
        return self._name


class ValueCtx(Ctx):
    """One key and its value."""

    __slots__ = ("_gov", "_key", "_timed", "_val")

    def __init__(self, parent: Context, key: object, val: object) -> None:
        self._parent = parent
        self._gov = governor(parent)
        self._timed = timedby(parent)
        self._key = key
        self._val = val

    def _suffix(self) -> str:
        return f".WithValue({_stringify(self._key)}, {_stringify(self._val)})"


class Detached(Ctx):
    """The values of its parent and nothing else. Go: withoutCancelCtx."""

    __slots__ = ()

    def __init__(self, parent: Context) -> None:
        self._parent = parent

    def _suffix(self) -> str:
        return ".WithoutCancel"


_background: Final = _Root("context.Background")
_todo: Final = _Root("context.TODO")


def background() -> Context:
    """The root of all contexts: never done, no values, no deadline.

    For main, for tests, and as the parent of what begins here.

    Example:
        >>> print(gopark.context.background())
        context.Background

    Go: context.Background.
    """
    return _background


def todo() -> Context:
    """As `background`, and says that the right context is still to be passed in here.

    Example:
        >>> print(gopark.context.todo())
        context.TODO

    Go: context.TODO.
    """
    return _todo


# --- along the chain --------------------------------------------------------------------------


def governor(ctx: Context) -> Context | None:
    """Who answers `done` and `err` for it: a CancelCtx, a context of others, or nobody (None)."""
    return ctx._governor() if isinstance(ctx, Ctx) else ctx


def timedby(ctx: Context) -> Context | None:
    """Who knows its deadline."""
    return ctx._timedby() if isinstance(ctx, Ctx) else ctx


def _lookup(ctx: Ctx, key: object) -> Any:
    c: Context | None = ctx
    if key is CANCELCTX:
        c = ctx._governor()
        return c if c is None or isinstance(c, Ctx) else c.value(key)
    while isinstance(c, Ctx):
        if type(c) is ValueCtx:
            own = c._key
            if own is key or (type(own) is type(key) and own == key):
                return c._val
        c = c._parent
    return None if c is None else c.value(key)


# --- printing ---------------------------------------------------------------------------------


def _describe(ctx: Ctx) -> str:
    """The whole chain, the root first, as Go prints it."""
    names: list[str] = []
    c: Context | None = ctx
    while isinstance(c, Ctx):
        names.append(c._suffix())
        c = c._parent
    if c is not None:
        names.append(str(c) if _stringer(c) else _typename(c))
    return "".join(reversed(names))


def _stringify(value: object) -> str:
    """What it is, and nothing that changes while somebody else uses it."""
    if value is None:
        return "<nil>"
    if type(value) is str:
        return value
    return str(value) if _stringer(value) else _typename(value)


def _stringer(value: object) -> bool:
    """Its class, or a base of it, defines `__str__`. Go: fmt.Stringer."""
    return isinstance(type(value).__str__, FunctionType)


def _typename(value: object) -> str:
    cls = type(value)
    name = cls.__qualname__.replace("<locals>.", "")
    if cls.__module__ == "builtins":
        return name
    return f"{'main' if cls.__module__ == '__main__' else cls.__module__}.{name}"
