"""ConnectionState: what a handshake has agreed on.

Source: Go 1.27 crypto/tls/common.go (ConnectionState). Tests: tests/tls/test_handshake.py
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

__all__ = ("ConnectionState", "stateof")


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """What a handshake has agreed on; see `Conn.connection_state`.

    Attributes:
        handshake_complete: False: there was none yet, and the rest says nothing.
        version: As `ssl` names it: `TLSv1.3`.
        cipher: The name of the cipher suite.
        alpn: The protocol that was agreed on, of those of `context.set_alpn_protocols`; or None.
        resumed: An earlier session was gone on with, so no certificates were shown.
        server_hostname: The name of the server that the client asked for. At the server, names are
            for `context.sni_callback`.
        peer_certificate: The other side's certificate, in DER, or None if it has shown none.
        peer_names: What `ssl` reads in it, if it was verified: subject, subjectAltName, issuer.
    Example:
        >>> gopark.tls.ConnectionState().handshake_complete
        False

    Go: tls.ConnectionState.
    """

    handshake_complete: bool = False
    version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    resumed: bool = False
    server_hostname: str | None = None
    peer_certificate: bytes | None = None
    peer_names: dict[str, Any] | None = None


def stateof(obj: ssl.SSLObject) -> ConnectionState:
    """After the handshake. The caller has the object to itself."""
    cipher = obj.cipher()
    return ConnectionState(
        handshake_complete=True,
        version=obj.version(),
        cipher=None if cipher is None else cipher[0],
        alpn=obj.selected_alpn_protocol(),
        resumed=bool(obj.session_reused),
        server_hostname=obj.server_hostname,
        peer_certificate=obj.getpeercert(True),
        peer_names=obj.getpeercert() or None,
    )
