"""A search for leaks collects garbage first: that of the test alone, or it takes too long."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def nothing_else_is_collected() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()
