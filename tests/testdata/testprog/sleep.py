"""Waiting for time to pass, looked at from outside. Go: testprog/sleep.go."""

import os
import signal

import gopark
from registry import register


@register("After1")
async def after1() -> None:
    """Half of Go's second: the signals that it stands come twice as fast.

    Handled by Python, and harmless even as the interpreter exits.
    """
    signal.signal(signal.SIGURG, lambda *_: None)
    os.write(1, b"ready\n")
    os.close(1)
    await gopark.time.after(0.5).recv()
