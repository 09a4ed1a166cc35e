"""Whether tests may have network namespaces of their own."""

from __future__ import annotations

import os
import shutil
import subprocess

__all__ = ("missing",)


def missing() -> str:
    """What stands against it; nothing if they may."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "namespaces need root"
    if shutil.which("ip") is None:
        return "the ip command is not installed"
    made = "import ctypes; raise SystemExit(ctypes.CDLL(None).unshare(0x40000000 | 0x00020000))"
    if subprocess.run([shutil.which("python3") or "python3", "-c", made], check=False).returncode:
        return "no namespaces here"
    return ""
