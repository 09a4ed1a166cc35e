"""`module:app`: the application that a command line names.

Source: as uvicorn and gunicorn have it. Tests: tests/http/test_load.py
"""

from __future__ import annotations

import importlib
from typing import Any

from gopark._runtime.base.printstring import shown

__all__ = ("LoadError", "load")


class LoadError(Exception):
    """There is no such application; the text says why, and what to write instead."""


def load(name: str, factory: bool = False) -> Any:
    """The application of that name.

    Args:
        name: `module:attribute`, or `module`, whose attribute is `app` then, or `application`.
        factory: The attribute is a function that makes the application.
    Raises:
        LoadError: there is no such module, or no such attribute in it.
        TypeError: `name` is no string.
    Example:
        >>> gopark.http.load("wsgiref.simple_server:demo_app").__name__
        'demo_app'

    Go: none.
    """
    if not isinstance(name, str):
        raise TypeError(f"load() needs `module:app`, got {shown(name)}")
    where, colon, path = name.partition(":")
    if not where or (colon and not path):
        raise LoadError(f"{name!r} names no application: write `module:app`")
    if where.startswith(".") or "/" in where:
        raise LoadError(_nomodule(where, colon + path, where))
    try:
        module: Any = importlib.import_module(where)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{where}.".startswith(f"{exc.name}."):
            raise  # of the application, as it is imported
        raise LoadError(_nomodule(where, colon + path, exc.name)) from None
    if not colon:
        path = "app" if hasattr(module, "app") else "application"
    app = module
    for part in path.split("."):
        try:
            app = getattr(app, part)
        except AttributeError:
            raise LoadError(
                f"module {where} has no {shown(path)}: write `{where}:NAME`, with the name that "
                "the application has there"
            ) from None
    if factory:
        app = app()
    if not callable(app):
        raise LoadError(f"{name} is no application, but {shown(app)}: it cannot be called")
    return app


def _nomodule(where: str, path: str, missing: str) -> str:
    if where.endswith(".py") or "/" in where:
        module = where.removesuffix(".py").strip("./").replace("/", ".")
        return f"{where!r} is no module: write `{module}{path or ':app'}`, as Python imports it"
    text = f"no module {missing}"
    if not path:
        text += f", of {where!r}: write `module:app`, the module and the name that is in it"
    return (
        f"{text}; it is looked for from here, and where PYTHONPATH says (--app-dir names another "
        "folder)"
    )
