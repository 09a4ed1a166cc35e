"""Modules that are there at once and imported at their first use.

`gopark.net` is part of `import gopark` for who writes it, and costs those who have no connections
nothing. A `__getattr__` of the package would say it in three lines, but Python looks up *every*
attribute of such a module in the slow way: `gopark.go(f)` cost 2 % more.

  - The module is the one in `sys.modules`, whoever came to it, and by which way.
  - Names with underscores do not load it, but for `__all__`: those who go through `sys.modules`,
    to find a file or a registry, look for such.
  - Who asks while another thread loads it waits; who asks amid its own load gets what is there.

importlib.util.LazyLoader does the same, and is not safe with threads before 3.11.9 and 3.12.3.

Tests: tests/test_later.py
"""

from __future__ import annotations

import sys
import threading
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

from gopark._runtime.base.lockrank import lasting

__all__ = ("later",)

_lock = lasting(threading.RLock())
_loading: dict[str, int] = {}  # by whom: one that another thread loaded as we forked is loaded anew


def later(name: str) -> ModuleType:
    """The module of that name, to be imported when it is used."""
    if (module := sys.modules.get(name)) is not None:
        return module
    spec = find_spec(name)
    assert spec is not None
    module = module_from_spec(spec)
    module.__class__ = _Later
    sys.modules[name] = module
    return module


class _Later(ModuleType):
    """One that has not been imported yet."""

    def __getattr__(self, attr: str) -> Any:
        if not attr.startswith("__") or attr == "__all__":
            _load(self)
        return ModuleType.__getattribute__(self, attr)

    def __dir__(self) -> list[str]:
        _load(self)
        return dir(self)


def _load(module: ModuleType) -> None:
    """Import it, once; if that fails, the next use tries again."""
    name = module.__name__
    with _lock:
        me = threading.get_ident()
        if module.__class__ is not _Later or _loading.get(name) == me:
            return
        _loading[name] = me
        try:
            spec = module.__spec__
            assert spec is not None
            assert spec.loader is not None
            spec.loader.exec_module(module)
            setattr(module, "__class__", ModuleType)  # noqa: B010 - mypy knows it as _Later
        finally:
            del _loading[name]
