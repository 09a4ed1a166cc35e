"""`client`, `server`, `dial`: a TLS connection from one that is there, and from an address.

Source: Go 1.27 crypto/tls/tls.go (Client, Server, DialWithDialer). Tests: tests/tls/test_dial.py
"""

from __future__ import annotations

import functools
import socket
import ssl

from gopark import net
from gopark._runtime.base.printstring import shown
from gopark.context import Context
from gopark.net import Conn as NetConn
from gopark.net import split_host_port
from gopark.tls._conn import Conn

__all__ = ("client", "dial", "forserver", "server")


def _checked(who: str, context: object, server: bool) -> ssl.SSLContext:
    """
    Raises:
        TypeError: it is no context of the `ssl` module.
        ValueError: it is one for the other side.
    """
    side, other = ("SERVER", "client") if server else ("CLIENT", "server")
    if not isinstance(context, ssl.SSLContext):
        make = (
            "ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)" if server else "ssl.create_default_context()"
        )
        raise TypeError(f"{who}() needs an ssl.SSLContext, like {make}, got {shown(context)}")
    wrong = ssl.PROTOCOL_TLS_CLIENT if server else ssl.PROTOCOL_TLS_SERVER
    if context.protocol is wrong:
        raise ValueError(f"{who}: this context is for a {other}: make one with PROTOCOL_TLS_{side}")
    return context


def forserver(who: str, context: object) -> ssl.SSLContext:
    return _checked(who, context, True)


def _onconn(who: str, conn: object) -> NetConn:
    if isinstance(conn, net.PacketConn):
        raise TypeError(f"{who}() needs a stream, and this has datagrams: {shown(conn)}")
    if isinstance(conn, NetConn):
        return conn
    hint = ": see gopark.net.from_socket" if isinstance(conn, socket.socket) else ""
    raise TypeError(f"{who}() needs a gopark.net.Conn, got {shown(conn)}{hint}")


def client(
    conn: NetConn,
    context: ssl.SSLContext,
    server_hostname: str | None = None,
    *,
    session: ssl.SSLSession | None = None,
) -> Conn:
    """The client's side of TLS on a connection, which belongs to the result from here on.

    The handshake comes with the first read or write, or with `handshake`.

    Args:
        conn: Any connection: TCP, Unix, `gopark.net.pipe()`, another TLS connection.
        context: What is trusted, and so on. `ssl.create_default_context()` is what most want.
        server_hostname: The name that the server's certificate has to be for, which it is told.
        session: The `session` of an earlier connection with the same context, to be gone on with.
    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: the context is a server's, it wants a `server_hostname`, or the session is of
            another context.
    Example:
        >>> import ssl
        >>> a, b = gopark.net.pipe()
        >>> conn = gopark.tls.client(a, ssl.create_default_context(), "www.example.com")
        >>> conn.connection_state().handshake_complete
        False

    Go: tls.Client.
    """
    _onconn("client", conn)
    _checked("client", context, False)
    if server_hostname is not None and not isinstance(server_hostname, str):
        raise TypeError(f"client() needs a string as server_hostname, got {shown(server_hostname)}")
    if not server_hostname and context.check_hostname:
        raise ValueError(
            "client: the certificate of the server has to be for some name: give "
            "server_hostname='...', or set context.check_hostname = False"
        )
    return Conn(conn, context, False, server_hostname or None, session)


def server(conn: NetConn, context: ssl.SSLContext) -> Conn:
    """The server's side of TLS on a connection, which belongs to the result from here on.

    The handshake comes with the first read or write, or with `handshake`.

    Args:
        conn: Any connection, like one that `accept` gave.
        context: With a certificate: `load_cert_chain`. Its `sni_callback` is called in the
            handshake.
    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: the context is a client's.
    Example:
        >>> import ssl
        >>> a, b = gopark.net.pipe()
        >>> conn = gopark.tls.server(a, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        >>> conn.net_conn is a
        True

    Go: tls.Server.
    """
    return Conn(_onconn("server", conn), forserver("server", context), True)


@functools.cache
def _default() -> ssl.SSLContext:
    """Reads what the system trusts, which takes some ten milliseconds."""
    return ssl.create_default_context()


async def dial(
    network: str,
    address: str,
    context: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    ctx: Context | None = None,
) -> Conn:
    """Connect, and have the handshake.

    Args:
        network: As for `gopark.net.dial`.
        address: As for `gopark.net.dial`.
        context: What is trusted, and so on; `ssl.create_default_context()`.
        server_hostname: The name that the server's certificate has to be for; that in `address`.
        ctx: When it is done, this ends.
    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: there is no such network, or the address is not of its form.
        OSError: there is no way to it, or nobody listens there; an ssl.SSLError: the handshake
            failed; an ssl.SSLCertVerificationError: the certificate is not to be trusted.
        TruncatedError: the other side closed the connection amid the handshake.
        Canceled: `ctx` was cancelled.
        DeadlineExceeded: its time is up.
    Example:
        >>> async def main():
        ...     async with await gopark.tls.dial("tcp", "www.example.com:443") as conn:
        ...         print(conn.connection_state().version)

    Go: tls.Dial, tls.Dialer.DialContext.
    """
    if context is None:
        context = _default()
    _checked("dial", context, False)
    if network not in ("tcp", "tcp4", "tcp6", "unix"):
        raise ValueError(f"dial: TLS needs a stream: 'tcp' or 'unix', got {shown(network)}")
    if server_hostname is None and network != "unix":
        host = split_host_port(address)[0]
        server_hostname = host.partition("%")[0].rstrip(".") or "localhost"
    conn = await net.dial(network, address, ctx=ctx)
    try:
        made = client(conn, context, server_hostname)
        await made.handshake(ctx)
    except BaseException:
        conn.close()
        raise
    return made
