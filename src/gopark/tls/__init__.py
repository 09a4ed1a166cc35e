"""TLS on any connection, with Python's `ssl`. Go: package crypto/tls.

A `tls.Conn` is a `net.Conn`: it is read and written in the same way, and goes wherever one goes.
What is trusted, which certificate is shown and what else is negotiated stands in an
`ssl.SSLContext`.
"""

from gopark._util import set_public_module
from gopark.tls._conn import Conn as Conn
from gopark.tls._dial import client as client
from gopark.tls._dial import dial as dial
from gopark.tls._dial import server as server
from gopark.tls._errors import RecordHeaderError as RecordHeaderError
from gopark.tls._errors import TruncatedError as TruncatedError
from gopark.tls._listen import Listener as Listener
from gopark.tls._listen import listen as listen
from gopark.tls._state import ConnectionState as ConnectionState

__all__ = (
    "Conn",
    "ConnectionState",
    "Listener",
    "RecordHeaderError",
    "TruncatedError",
    "client",
    "dial",
    "listen",
    "server",
)

set_public_module(__name__, globals())
