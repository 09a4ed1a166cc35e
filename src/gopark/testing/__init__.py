"""Tools for the tests of programs that use gopark."""

from gopark.testing import synctest as synctest
from gopark.testing._parked import wait_all_parked as wait_all_parked

__all__ = ("synctest", "wait_all_parked")

wait_all_parked.__module__ = __name__
