"""Which queues there are at a URL.

Source: none. Tests: tests/workqueue/test_commands.py
"""

from __future__ import annotations

from gopark._runtime.base.printstring import shown
from gopark.workqueue._localfiles import directory, names

__all__ = ("names_at",)


async def names_at(url: str) -> list[str]:
    """Their names, in order.

    Raises:
        Unavailable: nobody answers there.
        ValueError: it is no URL of queues.
    """
    if url.startswith("local:"):
        return names(directory(url))
    if not url.startswith(("nats://", "tls://")):
        raise ValueError(f"a URL is local: or nats://host:port, got {shown(url)}")
    from gopark.workqueue._nats import stream_names

    return await stream_names(url)
