"""Labels: pairs of strings in a context, and on the goroutine that works for it.

A context carries labels as a value; a goroutine has those that were set on it last, and hands
them on to the goroutines that it starts. `do` keeps the two together.

Locks: none. A set of labels never changes after it was made.
Source: Go 1.27 runtime/pprof/label.go, runtime.go. Tests: tests/pprof/test_labels.py
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar, overload

from gopark._runtime.base.printstring import shown
from gopark._runtime.prof.proflabel import Labels, setproflabel
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.newproc import isasync, startable_check
from gopark._util import string
from gopark.context import Context, with_value
from gopark.context._with import checked
from gopark.pprof._text import labeltext

__all__ = (
    "LabelSet",
    "do",
    "for_labels",
    "label",
    "labels",
    "set_goroutine_labels",
    "with_labels",
)

T = TypeVar("T")


class _Key:
    """The key of the labels in a context."""

    def __repr__(self) -> str:
        return "pprof.labels"


_KEY: Final = _Key()


class LabelSet:
    """Some labels; made by `labels`.

    Example:
        >>> gopark.pprof.labels("kind", "job", "id", "7")
        LabelSet(id='7', kind='job')

    Go: runtime/pprof.LabelSet.
    """

    __slots__ = ("_pairs",)

    _pairs: Labels  # sorted by key

    def __init__(self, pairs: Labels) -> None:
        self._pairs = pairs

    def __str__(self) -> str:
        return labeltext(self._pairs)

    def __repr__(self) -> str:
        return f"LabelSet({', '.join(f'{key}={value!r}' for key, value in self._pairs)})"


def labels(*args: str) -> LabelSet:
    """A set of labels from keys and values in turn; of one key the last value counts.

    Args:
        args: key, value, key, value ...
    Raises:
        ValueError: a key has no value.
        TypeError: a key or a value is not a string.
    Example:
        >>> gopark.pprof.labels("path", "/users", "method", "GET")
        LabelSet(method='GET', path='/users')

    Go: runtime/pprof.Labels.
    """
    for arg in args:
        if not isinstance(arg, str):
            raise TypeError(f"labels() takes strings, got {shown(arg)}; say str({shown(arg)})")
    if len(args) % 2:
        raise ValueError("uneven number of arguments to pprof.labels: each key needs a value")
    return LabelSet(_sorted(dict(zip(args[::2], args[1::2], strict=True))))


def _sorted(pairs: dict[str, str]) -> Labels:
    return tuple(sorted(pairs.items()))


def _of(ctx: Context) -> Labels:
    found = ctx.value(_KEY)
    return found if isinstance(found, tuple) else ()


def with_labels(ctx: Context, labels: LabelSet) -> Context:
    """A child of `ctx` that carries these labels as well; of one key the new value counts.

    Args:
        ctx: The context that it is derived from.
        labels: What `labels` returned.
    Raises:
        TypeError: `labels` is no set of labels, or `ctx` no context.
    Example:
        >>> ctx = gopark.pprof.with_labels(
        ...     gopark.context.background(), gopark.pprof.labels("kind", "job")
        ... )
        >>> gopark.pprof.label(ctx, "kind")
        ('job', True)

    Go: runtime/pprof.WithLabels.
    """
    _checked("with_labels", ctx, labels)
    return _withlabels(ctx, labels)


def _checked(who: str, ctx: object, labels: object) -> None:
    checked(who, ctx)
    if not isinstance(labels, LabelSet):
        raise TypeError(f"{who}() needs what labels() returns, got {shown(labels)}")


def _withlabels(ctx: Context, labels: LabelSet) -> Context:
    return with_value(ctx, _KEY, _sorted({**dict(_of(ctx)), **dict(labels._pairs)}))


def label(ctx: Context, key: str) -> tuple[str, bool]:
    """The value of one label of a context, and whether it has it.

    Args:
        ctx: A context.
        key: The key of the label.
    Raises:
        TypeError: `ctx` is no context, or `key` no string.
    Example:
        >>> gopark.pprof.label(gopark.context.background(), "kind")
        ('', False)

    Go: runtime/pprof.Label.
    """
    checked("label", ctx)
    string("label", "key", key)
    for name, value in _of(ctx):
        if name == key:
            return value, True
    return "", False


def for_labels(ctx: Context) -> Iterator[tuple[str, str]]:
    """The labels of a context, sorted by key.

    Args:
        ctx: A context.
    Raises:
        TypeError: `ctx` is no context.
    Example:
        >>> ctx = gopark.pprof.with_labels(
        ...     gopark.context.background(), gopark.pprof.labels("b", "2", "a", "1")
        ... )
        >>> dict(gopark.pprof.for_labels(ctx))
        {'a': '1', 'b': '2'}

    Go: runtime/pprof.ForLabels.
    """
    checked("for_labels", ctx)
    return iter(_of(ctx))


def set_goroutine_labels(ctx: Context) -> None:
    """Give the calling goroutine the labels of `ctx`, and no others.

    Goroutines that it starts from now on have them too. `do` is the better way where one call
    is to be labelled.

    Args:
        ctx: A context.
    Raises:
        TypeError: `ctx` is no context.
    Example:
        >>> gopark.pprof.set_goroutine_labels(gopark.context.background())

    Go: runtime/pprof.SetGoroutineLabels.
    """
    checked("set_goroutine_labels", ctx)
    setproflabel(_of(ctx))


@overload
def do(
    ctx: Context, labels: LabelSet, fn: Callable[[Context], Coroutine[Any, Any, T]]
) -> Coroutine[Any, Any, T]: ...
@overload
def do(ctx: Context, labels: LabelSet, fn: Callable[[Context], T]) -> T: ...


def do(ctx: Context, labels: LabelSet, fn: Callable[[Context], Any]) -> Any:
    """Call `fn` with a context that has these labels too, and label the goroutine meanwhile.

    Goroutines that `fn` starts have the labels as well. Afterwards the goroutine has those
    of `ctx`.

    Args:
        ctx: The context that the one of `fn` is derived from.
        labels: What `labels` returned.
        fn: An `async def`, then the call is to be awaited, or a plain function.
    Returns:
        What `fn` returns.
    Raises:
        TypeError: `labels` is no set of labels, `ctx` no context, or `fn` no function.
    Example:
        >>> async def work(ctx):
        ...     return gopark.pprof.label(ctx, "kind")
        >>> async def main():
        ...     ctx = gopark.context.background()
        ...     print(await gopark.pprof.do(ctx, gopark.pprof.labels("kind", "job"), work))
        >>> gopark.run(main)
        ('job', True)

    Go: runtime/pprof.Do.
    """
    _checked("do", ctx, labels)
    startable_check("pprof.do", fn)
    inner = _withlabels(ctx, labels)
    if isasync(fn):
        return _awaited(ctx, inner, fn)
    set_goroutine_labels(inner)
    try:
        result = fn(inner)
    finally:
        set_goroutine_labels(ctx)
    if isinstance(result, Coroutine):  # a decorated `async def`, a lambda that calls one
        return _awaited(ctx, inner, lambda _: result)
    return result


async def _awaited(ctx: Context, inner: Context, fn: Callable[[Context], Any]) -> Any:
    set_goroutine_labels(inner)
    try:
        return await fn(inner)
    finally:
        set_goroutine_labels(ctx)


transparent.update((do.__code__, _awaited.__code__))
