"""Futures of others: the door to process pools, Ray, Dask, and whatever has done-callbacks."""

from gopark._future import Future as Future
from gopark._future import wait as wait
from gopark._util import set_public_module

__all__ = ("Future", "wait")

set_public_module(__name__, globals())
