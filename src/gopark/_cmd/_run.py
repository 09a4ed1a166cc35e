"""`gopark run`: a file or a module as a program of Go's kind.

The code is run under the name `__main__`, as Python would, so what stands in an
`if __name__ == "__main__":` block is done. Such a block says how the program starts; without one,
and without a call of `gopark.run`, the function `main` is the main goroutine.

An exception that main lets escape is a panic like any other: Go's report, and status 2. Ctrl-C
ends the process by the signal, as it does Go's.
"""

from __future__ import annotations

import ast
import faulthandler
import importlib.util
import inspect
import os
import sys
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType, TracebackType
from typing import Any

import gopark
from gopark._cmd._failed import Failed
from gopark._runtime.main import rt0
from gopark._runtime.report.printpanics import panictext
from gopark._runtime.report.traceback import excstack, formatframes, hidden
from gopark._runtime.sched import panic

__all__ = ("run",)

_USAGE = "gopark run FILE [ARG ...], or gopark run -m MODULE [ARG ...]"


def run(args: list[str]) -> int:
    """The command; `args` is what follows `run`."""
    if not faulthandler.is_enabled():
        try:
            faulthandler.enable()
        except (OSError, RuntimeError, ValueError):
            pass  # stderr is no file
    try:
        module, source, code = _load(args)
        sys.modules["__main__"] = module
        runs = rt0.runs()
        exec(code, module.__dict__)
        if rt0.runs() == runs and not _startsitself(source):
            gopark.run(_main(module))
    except (SystemExit, Failed):
        raise
    except KeyboardInterrupt:
        sys.excepthook = _silent
        raise
    except BaseException as exc:
        return _panicked(exc)
    return 0


def _main(module: ModuleType) -> Any:
    main = getattr(module, "main", None)
    if callable(main):
        try:
            inspect.signature(main).bind()
        except TypeError as exc:
            raise Failed(
                f"main of {module.__file__} is called without arguments, and needs some: {exc}. "
                f"What stands on the command line is in sys.argv"
            ) from None
        except ValueError:
            pass  # it does not say what it takes
        return main
    what = "has no function `main`" if main is None else f"has no function as `main`, but {main!r}"
    raise Failed(
        f"{module.__file__} {what}. Call the function it starts with `async def main():` or "
        f"`def main():`, or run the file by python if it is no program of gopark's"
    )


def _panicked(exc: BaseException) -> int:
    """Main let it escape: Go's report."""
    tb = exc.__traceback__
    while tb is not None and hidden(tb.tb_frame.f_code):
        tb = tb.tb_next  # ours, on the way to main
    exc.__traceback__ = tb
    text, _ = panictext(exc)
    frames = "".join(formatframes(excstack(exc)))
    panic.printreport(f"{text}\n\ngoroutine 1 [running]:\n{frames}")
    return 2


def _silent(cls: type[BaseException], exc: BaseException, tb: TracebackType | None) -> None:
    """Python ends by SIGINT on its own; Go prints nothing then."""


# --- finding it ----------------------------------------------------------------------------


def _load(args: list[str]) -> tuple[ModuleType, str, CodeType]:
    """The module to be, its source, and the code that fills it."""
    if not args:
        raise Failed(f"what? {_USAGE}", 2)
    first, *rest = args
    if first == "-m":
        if not rest:
            raise Failed(f"-m needs the name of a module: {_USAGE}", 2)
        _path(os.getcwd())
        spec = _find(rest[0])
        file, args = spec.origin, rest[1:]
    elif first.startswith("-"):
        raise Failed(f"no option {first}: {_USAGE}", 2)
    else:
        file, args, spec = os.path.abspath(first), rest, None
        _path(os.path.dirname(file))
    assert file is not None
    source = _read(file, first)
    module = ModuleType("__main__")
    module.__file__ = file
    module.__spec__ = spec
    module.__package__ = "" if spec is None else spec.parent
    module.__dict__["__builtins__"] = __builtins__
    sys.argv[:] = [file, *args]
    try:
        code: CodeType = compile(source, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as exc:
        exc.__traceback__ = None
        sys.excepthook(type(exc), exc, None)
        raise Failed(f"{first} is no Python that {sys.version.split()[0]} understands") from None
    return module, _text(source), code


def _path(folder: str) -> None:
    """Where the program's own modules are found, in the place of this command's."""
    if not sys.flags.safe_path:
        sys.path[0:1] = [folder]


def _find(name: str) -> ModuleSpec:
    """The specification of a module, or of the `__main__` of a package."""
    if name == "__main__" or not all(part.isidentifier() for part in name.split(".")):
        raise Failed(f"no module {name}; give a name as in `import {__package__}`")
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            name += ".__main__"
            spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
            raise  # of the package, as it is imported
        spec = None
    if spec is None:
        raise Failed(
            f"no module {name}; it is looked for from here, {os.getcwd()}, and where PYTHONPATH "
            f"says"
        )
    if spec.origin is None or not spec.origin.endswith(".py"):
        raise Failed(f"module {name} is not a file of Python: {spec.origin}")
    return spec


def _read(file: str, given: str) -> bytes:
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except FileNotFoundError:
        hint = "" if given.endswith(".py") else f"; a module is run by `gopark run -m {given}`"
        raise Failed(f"no file {given}{hint}") from None
    except IsADirectoryError:
        raise Failed(
            f"{given} is a folder; give the file in it, or `-m` and the name of a module"
        ) from None
    except OSError as exc:
        raise Failed(f"cannot read {given}: {exc.strerror}") from None


def _text(source: bytes) -> str:
    return importlib.util.decode_source(source)


def _startsitself(source: str) -> bool:
    """There is an `if __name__ == "__main__":` at the top level."""
    return any(
        isinstance(node, ast.If) and any(_saysmain(part) for part in ast.walk(node.test))
        for node in ast.parse(source).body
    )


def _saysmain(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare):
        return False
    sides = [node.left, *node.comparators]
    names = [side.id for side in sides if isinstance(side, ast.Name)]
    values = [side.value for side in sides if isinstance(side, ast.Constant)]
    return names == ["__name__"] and values == ["__main__"] and isinstance(node.ops[0], ast.Eq)
