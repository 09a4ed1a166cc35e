"""How the reference reads the sources: where examples are, and what `suspends` makes."""

from __future__ import annotations

from typing import Any

import griffe


class Gopark(griffe.Extension):
    """What a reader of the reference is to see of a function."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            text = obj.docstring.value  # a section needs an empty line before it
            obj.docstring.value = text.replace("\nExample:\n", "\n\nExamples:\n")

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """`def f() -> Generator[Command, None, T]`, marked `suspends`, is `async def f() -> T`."""
        if any(str(decorator.value) == "suspends" for decorator in func.decorators):
            func.labels.add("async")
            returns = func.returns
            if isinstance(returns, griffe.ExprSubscript):
                func.returns = returns.slice.elements[-1]
