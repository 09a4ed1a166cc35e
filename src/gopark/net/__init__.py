"""Connections: TCP and Unix sockets, and what is read from them. Go: package net.

A connection is a goroutine's to read and write as if it blocked; what waits costs no thread. The
network poller is in `_runtime/net`, descriptors with their turns and deadlines in `_poll`.
"""

from gopark._poll.errors import ClosedError as ClosedError
from gopark._util import set_public_module
from gopark.net._addr import Addr as Addr
from gopark.net._addr import join_host_port as join_host_port
from gopark.net._addr import split_host_port as split_host_port
from gopark.net._bufio import Readable as Readable
from gopark.net._bufio import Reader as Reader
from gopark.net._conn import Conn as Conn
from gopark.net._copy import Writable as Writable
from gopark.net._copy import copy as copy
from gopark.net._dial import Dialer as Dialer
from gopark.net._dial import dial as dial
from gopark.net._errors import DNSError as DNSError
from gopark.net._errors import TooLongError as TooLongError
from gopark.net._errors import UnexpectedEOFError as UnexpectedEOFError
from gopark.net._incoming import Incoming as Incoming
from gopark.net._listen import from_socket as from_socket
from gopark.net._listen import listen as listen
from gopark.net._listen import listen_packet as listen_packet
from gopark.net._lookup import Resolver as Resolver
from gopark.net._lookup import Resolves as Resolves
from gopark.net._lookup import lookup_addr as lookup_addr
from gopark.net._lookup import lookup_cname as lookup_cname
from gopark.net._lookup import lookup_host as lookup_host
from gopark.net._packet import PacketConn as PacketConn
from gopark.net._pipe import pipe as pipe
from gopark.net._stream import Listener as Listener
from gopark.net._stream import SocketConn as SocketConn

__all__ = (
    "Addr",
    "ClosedError",
    "Conn",
    "DNSError",
    "Dialer",
    "Incoming",
    "Listener",
    "PacketConn",
    "Readable",
    "Reader",
    "Resolver",
    "Resolves",
    "SocketConn",
    "TooLongError",
    "UnexpectedEOFError",
    "Writable",
    "copy",
    "dial",
    "from_socket",
    "join_host_port",
    "listen",
    "listen_packet",
    "lookup_addr",
    "lookup_cname",
    "lookup_host",
    "pipe",
    "split_host_port",
)

set_public_module(__name__, globals())
