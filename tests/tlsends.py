"""Connections of two ends for the tests of gopark.tls, and certificates."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gopark import net, tls

__all__ = ("Certificates", "Pair", "Plain", "ends", "made")

Pair = Callable[..., tuple[tls.Conn, tls.Conn]]


class Certificates(NamedTuple):
    """Two that sign themselves: for localhost, and for other.example."""

    cert: Path
    key: Path
    other_cert: Path
    other_key: Path

    def server(self, other: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files = (self.other_cert, self.other_key) if other else (self.cert, self.key)
        context.load_cert_chain(*files)
        return context

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.cert)
        context.load_verify_locations(self.other_cert)
        return context


def made(folder: Path, name: str, more: str) -> tuple[Path, Path]:
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}{more}"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return cert, key


class Plain(net.Conn):
    """A connection like somebody else's: it has what every Conn must have, and no more."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self._reader = None

    def _read(self, n: int) -> Any:
        return self.inner.read(n)

    def write(self, data: Any) -> Any:
        return self.inner.write(data)

    def close(self) -> None:
        self.inner.close()

    @property
    def local_addr(self) -> net.Addr:
        return self.inner.local_addr

    @property
    def remote_addr(self) -> net.Addr:
        return self.inner.remote_addr

    def _setdeadline(self, when: float | None, read: bool, write: bool) -> None:
        self.inner._setdeadline(when, read, write)


def ends(plain: bool = False) -> tuple[Any, Any]:
    a, b = map(net.from_socket, socket.socketpair())
    return (Plain(a), Plain(b)) if plain else (a, b)
