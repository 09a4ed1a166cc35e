"""Outgoing: what is to be said on a connection, and the goroutine that writes it.

Both sides of a connection have one. What is to be said lies with the side, under the side's own
lock; it says `flush`, and the goroutine takes all that has come together by its turn and writes it
at once: whoever can run runs first, so a hundred acknowledgements are one write.

    who has something                 the goroutine
    1. puts it down, with a lock      1. takes all there is, with that lock; nothing: 3.
    2. kicks                          2. writes it, gives way, and goes to 1.
                                      3. waits for a kick
A kick that comes between 1. and 3. stays in the channel.

Locks: the side's. Source: none. Tests: tests/workqueue/test_local.py
"""

from __future__ import annotations

from collections.abc import Callable

from gopark import net
from gopark._runtime.chan.chan import Chan
from gopark._runtime.time.timesleep import gosched

__all__ = ("Outgoing",)


class Outgoing:
    """Writes what `take` gives, until the end is said or the connection breaks."""

    __slots__ = ("_conn", "_kick", "_over", "_take", "gone")

    def __init__(self, conn: net.SocketConn, take: Callable[[], bytes]) -> None:
        self._conn = conn
        self._take = take
        self._kick: Chan[None] = Chan(1)
        self._over = False
        self.gone: Chan[None] = Chan()  # closed when the last was written, or none can be

    def flush(self) -> None:
        """There is something. Without the side's lock."""
        self._kick.try_send(None)

    def end(self) -> None:
        """Nothing comes after what is there; the connection is closed then."""
        self._over = True
        self._kick.try_send(None)

    async def run(self) -> None:
        conn = self._conn
        try:
            while True:
                data = self._take()
                if data:
                    await conn.write(data)
                elif self._over:
                    return
                else:
                    await self._kick.recv()
                await gosched()
        except OSError:
            pass
        finally:
            conn.close()
            self.gone.close()
