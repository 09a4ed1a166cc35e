"""`gopark version`, and what the head of a benchmark says of the machine."""

from __future__ import annotations

import platform
import sys
import sysconfig

import gopark

__all__ = ("build", "cpu", "goarch", "version")

_GOARCH = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}


def build() -> str:
    """The interpreter in a few words."""
    name = f"{platform.python_implementation()} {platform.python_version()}"
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return f"{name}, with the GIL"
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return f"{name}, free-threaded, the GIL is {'on' if gil else 'off'}"


def goarch() -> str:
    """The machine in Go's words."""
    machine = platform.machine()
    return _GOARCH.get(machine, machine.lower())


def cpu() -> str:
    """What the processor calls itself; empty if the system does not say."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def version() -> str:
    procs, cpus = gopark.runtime.gomaxprocs(), gopark.runtime.num_cpu()
    return (
        f"gopark {gopark.__version__} {sys.platform}/{goarch()}\n"
        f"{build()}\n"
        f"{platform.platform()}\n"
        f"GOMAXPROCS {procs}, {cpus} CPU{'s' if cpus != 1 else ''}"
    )
