"""The C that these tests share, in the process of the tests and in children."""

from __future__ import annotations

import ctypes
import pathlib
from collections.abc import Callable

import pytest

import gopark
import harness

UNARY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)


@pytest.fixture(scope="session")
def lib(build_folder: pathlib.Path) -> ctypes.CDLL:
    """`cgotest.c`, built once for all."""
    folder = harness.build(harness.TESTDATA / "testprogcgo" / "cgotest.c")
    return ctypes.CDLL(str(folder / "cgotest.so"), use_errno=True)


@pytest.fixture(scope="session")
def unary() -> Callable[..., object]:
    """Make a C function of one number that returns one; what returns nothing returns zero."""

    def unary(fn: Callable[[int], object]) -> object:
        return UNARY(gopark.cgo.callback(fn))

    return unary
