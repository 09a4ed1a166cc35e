"""What all listeners have in common, whatever is over the connections that they accept.

Source: Go 1.27 net/net.go (Listener). Tests: tests/net/test_tcp.py, tests/tls/test_dial.py
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, Self, TypeVar

from gopark._poll.closes import Closes
from gopark._runtime.base.errors import nocopy
from gopark.net._conn import Conn
from gopark.net._incoming import Incoming, drained, incoming

__all__ = ("Accepts",)

C = TypeVar("C", bound=Conn)


class Accepts(Closes, Generic[C]):
    """Gives connections, until it is closed."""

    __slots__ = ("__weakref__", "_conns")

    def __init__(self) -> None:
        self._conns: Incoming[C] | None = None  # what `conns` has given

    __reduce_ex__ = nocopy

    def __aiter__(self) -> Self:
        return self

    @abstractmethod
    async def __anext__(self) -> C: ...

    def conns(self) -> Incoming[C]:
        """The connections as a channel, for `select`.

        A goroutine of its own accepts one ahead. The channel is closed with the listener; a
        connection that it has is received before that. Each call gives the same channel.

        Returns:
            A channel to receive from. After its end `err()` tells why, if it was not a close.
        Example:
            >>> async def main():
            ...     with gopark.net.listen("tcp", "127.0.0.1:0") as ln:
            ...         timeout = gopark.time.after(0.01)
            ...         cases = gopark.recv(ln.conns()), gopark.recv(timeout)
            ...         index, conn, ok = await gopark.select(*cases)
            ...         print(index)
            >>> gopark.run(main)
            1

        Go: none; a goroutine that accepts and sends.
        """
        there = self._conns
        return incoming(self, "_conns", self.__anext__) if there is None else there

    def _endconns(self) -> None:
        """It was closed: each `close` calls this at its end."""
        if self._conns is not None:
            drained(self._conns)
