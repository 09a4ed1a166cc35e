"""Listener: TLS connections from those that another listener accepts.

Source: Go 1.27 crypto/tls/tls.go (NewListener, Listen). Tests: tests/tls/test_dial.py
"""

from __future__ import annotations

import ssl

from gopark import net
from gopark._runtime.base.printstring import shown
from gopark.net import Addr
from gopark.net._listener import Accepts
from gopark.tls._conn import Conn
from gopark.tls._dial import forserver, server

__all__ = ("Listener", "listen")


class Listener(Accepts[Conn]):
    """Waits for connections and gives them as TLS connections. `async for conn in ln` as well.

    The handshake is not in `accept` but in the first read or write of a connection, or in its
    `handshake`: so a client that is slow keeps nobody else waiting.

    Args:
        inner: The listener underneath, which belongs to this one.
        context: With a certificate: `load_cert_chain`.
    Attributes:
        addr: Where it listens.
    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: the context is a client's.
    Example:
        >>> import ssl
        >>> context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        >>> with gopark.tls.Listener(gopark.net.listen("tcp", "127.0.0.1:0"), context) as ln:
        ...     print(ln.addr.host)
        127.0.0.1

    Go: tls.NewListener.
    """

    __slots__ = ("_context", "_inner", "addr")

    def __init__(self, inner: net.Listener, context: ssl.SSLContext) -> None:
        if not isinstance(inner, net.Listener):
            raise TypeError(f"Listener() needs a gopark.net.Listener, got {shown(inner)}")
        self._context = forserver("Listener", context)
        super().__init__()
        self._inner = inner
        self.addr: Addr = inner.addr

    def __repr__(self) -> str:
        return f"<tls.Listener on {self._inner!r}>"

    async def accept(self) -> Conn:
        """Wait for the next connection.

        Raises:
            ClosedError: the listener was closed.
            TimeoutError: its deadline has passed.
            OSError: there are no descriptors left (EMFILE); `async for` tries again by itself.
        Example:
            >>> import ssl
            >>> async def main():
            ...     context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            ...     with gopark.tls.listen("tcp", "127.0.0.1:0", context) as ln:
            ...         gopark.go(gopark.net.dial, "tcp", ln.addr)
            ...         (await ln.accept()).close()
            >>> gopark.run(main)

        Go: Listener.Accept.
        """
        return server(await self._inner.accept(), self._context)

    async def __anext__(self) -> Conn:
        return server(await self._inner.__anext__(), self._context)

    def set_deadline(self, when: float | None) -> None:
        """By when `accept` is to have a connection; who waits then gets a TimeoutError.

        Args:
            when: Seconds on the clock of `gopark.time.monotonic()`; None: no deadline.
        Raises:
            ClosedError: the listener was closed.
            TypeError: `when` is neither a number nor None.
            ValueError: it is NaN.
        Example:
            >>> import ssl
            >>> context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            >>> with gopark.tls.listen("tcp", "127.0.0.1:0", context) as ln:
            ...     ln.set_deadline(gopark.time.monotonic() + 60)

        Go: TCPListener.SetDeadline.
        """
        self._inner.set_deadline(when)

    def close(self) -> None:
        """Listen no more. Who waits in `accept` gets a ClosedError. A second close does nothing.

        Example:
            >>> import ssl
            >>> context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            >>> gopark.tls.listen("tcp", "127.0.0.1:0", context).close()

        Go: Listener.Close.
        """
        self._inner.close()
        self._endconns()


def listen(network: str, address: str, context: ssl.SSLContext) -> Listener:
    """Listen for TLS connections. Their handshakes are not in `accept`: see `Listener`.

    Args:
        network: As for `gopark.net.listen`.
        address: As for `gopark.net.listen`.
        context: With a certificate: `load_cert_chain`.
    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: the context is a client's, there is no such network, or the address is not of
            its form.
        OSError: somebody listens there already, it is none of this machine's, or not allowed.
    Example:
        >>> import ssl
        >>> context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        >>> with gopark.tls.listen("tcp", "127.0.0.1:0", context) as ln:
        ...     print(ln.addr.network)
        tcp

    Go: tls.Listen.
    """
    forserver("listen", context)
    return Listener(net.listen(network, address), context)
