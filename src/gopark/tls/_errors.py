"""Errors of TLS that `ssl` has no name for, and words for some that it has.

Source: Go 1.27 crypto/tls/conn.go (RecordHeaderError). Tests: tests/tls/test_handshake.py
"""

from __future__ import annotations

import ssl
from typing import Final

__all__ = ("RecordHeaderError", "TruncatedError", "explained", "norecord")

_RECORDS: Final = (20, 21, 22, 23)  # the first byte of each record; a handshake is 22
_METHODS: Final = (b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC", b"CONN", b"PRI ")

# What OpenSSL calls it -> what it comes from, most often.
_WORDS: Final = {
    "NO_SHARED_CIPHER": "a server without a certificate has no cipher in common with anybody: "
    "context.load_cert_chain(...)",
    "UNKNOWN_CA": "the other side does not trust the certificate of this one",
    "BAD_CERTIFICATE": "the other side does not accept the certificate of this one",
    "CERTIFICATE_UNKNOWN": "the other side does not accept the certificate of this one",
    "CERTIFICATE_EXPIRED": "the certificate of this side has expired",
    "CERTIFICATE_REQUIRED": "the other side asks for a certificate: context.load_cert_chain(...)",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the context asks clients for a certificate, and this "
    "one has none",
    "PROTOCOL_VERSION": "no version of TLS in common: see context.minimum_version",
    "UNSUPPORTED_PROTOCOL": "no version of TLS in common: see context.minimum_version",
    "UNRECOGNIZED_NAME": "the other side does not know the name of the server that was asked for",
    "NO_APPLICATION_PROTOCOL": "no protocol in common: see context.set_alpn_protocols",
}


class TruncatedError(EOFError):
    """The stream ended, and the other side had not said that it would: some of it may be missing.

    The end of a TLS stream is a message of its own (close_notify). Without it nobody can tell an
    end from a line that was cut, by whoever. Many servers leave it out, so those who know from the
    data itself that it is whole may pass over this.

    Example:
        >>> issubclass(gopark.tls.TruncatedError, EOFError)
        True

    Go: io.ErrUnexpectedEOF, of a tls.Conn.
    """


class RecordHeaderError(ssl.SSLError):
    """What came first on the connection is not TLS.

    Attributes:
        data: The first bytes of it. The connection underneath, `net_conn`, is open, for who wants
            to answer in the other side's own language.
    Example:
        >>> try:
        ...     raise gopark.tls.RecordHeaderError("this is not TLS", b"GET / HTTP/1.1")
        ... except OSError as exc:
        ...     print(exc, exc.data[:3])
        this is not TLS b'GET'

    Go: tls.RecordHeaderError.
    """

    def __init__(self, text: str, data: bytes) -> None:
        super().__init__(ssl.SSL_ERROR_SSL, text)
        self.data = data

    def __reduce__(self) -> tuple[type, tuple[str, bytes]]:
        return type(self), (self.args[1], self.data)


def norecord(data: bytes, name: str, server: bool) -> RecordHeaderError | None:
    """Why this is no beginning of TLS, if it is none."""
    if data[0] in _RECORDS and data[1:2] in (b"", b"\x03"):
        return None
    if server and data.startswith(_METHODS):
        what = "a plain HTTP request came to a TLS port"
    elif not server and data.startswith(b"HTTP/"):
        what = "the server speaks plain HTTP on this port, not TLS"
    else:
        what = "the first bytes do not look like TLS"
    return RecordHeaderError(f"handshake {name}: {what}: {data[:32]!r}", data[:64])


def explained(exc: ssl.SSLError, name: str) -> None:
    """Add to an error of OpenSSL where it was, and what it comes from most often."""
    exc.add_note(f"handshake {name}")
    reason = exc.reason or ""
    for word, meaning in _WORDS.items():
        if reason == word or reason.endswith("_ALERT_" + word):
            exc.add_note(meaning)
