"""Tests in virtual time: a bubble of goroutines whose clock jumps when all of them wait.

Importing this turns bubbles on, in all of gopark; a program that does not import it has no part
of them.
"""

from gopark._runtime.base.errors import BubbleDeadlockError as BubbleDeadlockError
from gopark._runtime.bubble import bubble as _bubble
from gopark._runtime.bubble.synctest import sleep as sleep
from gopark._runtime.bubble.synctest import test as test
from gopark._runtime.bubble.synctest import wait as wait
from gopark._util import set_public_module
from gopark.testing import _bubbled

__all__ = ("BubbleDeadlockError", "sleep", "test", "wait")

set_public_module(__name__, globals())

_bubble.install()
_bubbled.install()
