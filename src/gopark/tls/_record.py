"""Records: what is encrypted and decrypted, by OpenSSL in memory, and how it comes and goes.

What comes from the connection underneath is put into `_in`, what OpenSSL has to say is taken out
of `_out`. It never touches the connection itself, so what waits is always a read or a write of
that, with its deadlines.

Invariants:
  T1  the SSLObject and both BIOs are used by who has `_mu`, who does not wait while it has it
  T2  what is taken out of `_out` goes to the connection in that order: by who has `_wmu`, until it
      is sent, or in `_left`; before the handshake is done by who has `_hmu`
  T3  what is read from the connection goes into `_in` in that order: by who has `_rmu`, until it is
      in there, or in `_fetched`; before the handshake is done by who has `_hmu`
  T4  `_dry` implies that there is nothing to be had without reading from the connection

Locks, in this order: `_hmu`, `_wmu`, `_rmu`, `_mu`: all of gopark.sync, for whoever has one of the
first three waits for the other side. `_hmu` is one of its own: who waits for the handshake must not
wait for who had it, and reads now.

Reading that has something to say (a key update's answer, a new handshake in TLS 1.2) does not wait
until it is sent: the other side may be one that writes, and reads only then. It is sent at once if
there is room (`_flushsoon`), by who writes at the moment, or by a goroutine of its own. `_owes` is
set under `_mu`, then `_wmu` tried; who gives `_wmu` back looks at `_owes` after that: one of them
sends it.

A write that cannot go on before the other side has said more (TLS 1.2: a new handshake) reads,
if nobody does, and leaves what it got for a reader in `_plain`; else it is told by who reads
(`_told`), after each piece.

Source: Go 1.27 crypto/tls/conn.go (halfConn, writeRecordLocked, readRecord).
Tests: tests/tls/test_conn.py, tests/tls/test_peers.py
"""

from __future__ import annotations

import errno
import ssl
import time
from collections.abc import Callable
from typing import Final, NoReturn

from gopark._runtime.chan.chan import Chan
from gopark._runtime.sched.newproc import go
from gopark.net import ClosedError
from gopark.net import Conn as NetConn
from gopark.sync import Mutex
from gopark.sync._again import copied, mine
from gopark.tls._errors import TruncatedError
from gopark.tls._state import ConnectionState

__all__ = ("PIECE", "SIZE", "Buffer", "Records")

Buffer = bytes | bytearray | memoryview

SIZE: Final = 65536  # bytes asked of the connection at once
PIECE: Final = 65536  # bytes encrypted at once: four records
_RECORD: Final = 16384  # bytes that OpenSSL gives at most
_NAP: Final = 0.00005
_BROKEN: Final = "part of a record may have gone, so this TLS connection is broken: close it"


class Records(NetConn):
    """What a tls.Conn is made of."""

    __slots__ = (
        "_closed",
        "_decrypt",
        "_done",
        "_dry",
        "_encrypt",
        "_eof",
        "_fed",
        "_fetched",
        "_hmu",
        "_hserr",
        "_in",
        "_inner",
        "_left",
        "_mu",
        "_out",
        "_owes",
        "_plain",
        "_rerr",
        "_rmu",
        "_shut",
        "_ssl",
        "_started",
        "_state",
        "_told",
        "_werr",
        "_wmu",
    )

    def __init__(
        self,
        conn: NetConn,
        context: ssl.SSLContext,
        server_side: bool,
        server_hostname: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self._reader = None
        self._pump = None
        self._inner = conn
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._in, self._out, server_side, server_hostname, session)
        self._decrypt: Callable[[int], bytes] = self._ssl.read
        self._encrypt: Callable[[Buffer], int] = self._ssl.write
        self._hmu, self._wmu, self._rmu, self._mu = Mutex(), Mutex(), Mutex(), Mutex()
        self._started = self._done = self._closed = False
        self._shut = False  # close_notify was sent
        self._eof = False  # and received
        self._dry = False
        self._fed = 0  # how often something was put into `_in`
        self._fetched = self._left = self._plain = b""
        self._owes = False
        self._told: Chan[None] | None = None
        self._hserr: BaseException | None = None
        self._rerr: BaseException | None = None
        self._werr: BaseException | None = None
        self._state: ConnectionState | None = None

    def _locknow(self) -> None:
        """`_mu`, from what may not wait. Who has it is in OpenSSL, on another thread."""
        while not self._mu.try_lock():
            time.sleep(_NAP)

    def _name(self) -> str:
        addr = self.remote_addr
        return f"tls {addr.network} {self.local_addr}->{addr}"

    def _gone(self, what: str) -> ClosedError:
        return ClosedError(f"{what} {self._name()}: use of closed connection")

    # --- in ------------------------------------------------------------------------------------

    async def _fetch(self, what: str) -> bytes:
        """From the connection; the caller has `_rmu`, or `_hmu`."""
        if self._closed:
            raise self._gone(what)
        try:
            return await self._inner.read(SIZE)
        except TimeoutError:
            if self._closed:  # close has something to send yet, and woke this up
                raise self._gone(what) from None
            raise

    def _open(self, n: int) -> bytes | None:
        """What there is, up to `n` bytes; None: nothing yet. The caller has `_mu`."""
        if self._fetched:
            self._in.write(self._fetched)
            self._fetched = b""
            self._fed += 1
            self._dry = False
        if self._plain:
            data, self._plain = self._plain[:n], self._plain[n:]
            return data
        if self._rerr is not None:
            raise mine(self._rerr)
        if self._eof:
            return b""
        if n > _RECORD:
            n = _RECORD
        try:
            data = self._decrypt(n)
        except ssl.SSLWantReadError:
            self._dry = True
            return None
        except ssl.SSLZeroReturnError:
            self._eof, data = True, b""
        except ssl.SSLError as exc:
            self._rerr = copied(exc)
            raise
        else:
            if not data:
                self._eof = True
            # Less than a record has at most, and no other there: so the next would find nothing.
            elif len(data) < n and not self._in.pending:
                self._dry = True
        finally:
            if self._out.pending:
                self._owes = True
        return data

    def _truncated(self) -> TruncatedError:
        return TruncatedError(
            f"read {self._name()}: the stream ended without close_notify: some of it may be missing"
        )

    def _tell(self) -> None:
        told, self._told = self._told, None
        if told is not None:
            told.close()

    # --- out -----------------------------------------------------------------------------------

    async def _push(self, piece: Buffer) -> None:
        """Encrypt and send, with all that there is to be sent. The caller has `_wmu`."""
        mu = self._mu
        while True:
            if self._closed or self._shut or self._werr is not None:
                self._unwritable()
            if not mu.try_lock():
                await mu.lock()
            try:
                n, seen = 0, self._fed
                if piece:
                    try:
                        n = self._encrypt(piece)
                    except ssl.SSLWantReadError:
                        pass
                sealed = self._out.read()
                self._owes = False
            finally:
                mu.unlock()
            if self._left:
                sealed, self._left = self._left + sealed, b""
            if sealed:
                try:
                    await self._inner.write(sealed)
                except BaseException as exc:
                    self._broken(exc)
                    raise
            if n == len(piece):
                return
            if n:
                piece = memoryview(piece)[n:]
            else:
                try:
                    await self._progress(seen)
                except BaseException as exc:
                    self._broken(exc)
                    raise

    def _unwritable(self) -> NoReturn:
        if self._closed:
            raise self._gone("write")
        if self._werr is not None:
            raise mine(self._werr)
        raise BrokenPipeError(errno.EPIPE, f"write {self._name()}: after close_write")

    async def _deliver(self, sealed: bytes) -> None:
        try:
            await self._inner.write(sealed)
        except BaseException as exc:
            self._broken(exc)
            raise

    def _broken(self, exc: BaseException) -> None:
        """A write has not come to its end.

        Raises:
            TimeoutError: instead of `exc`, if it was one: it says what comes of it.
        """
        if type(exc) is TimeoutError:
            exc = TimeoutError(f"{exc}: {_BROKEN}")
            self._werr = copied(exc)
            raise exc from None
        if isinstance(exc, OSError):
            self._werr = copied(exc)
        else:
            self._werr = ConnectionError(f"write {self._name()} was broken off: {_BROKEN}")

    def _flushsoon(self) -> None:
        """Send what there is, without waiting for it. What goes wrong, the next write tells."""
        if not self._wmu.try_lock():
            return  # who has it looks when it gives it back
        try:
            self._locknow()
            try:
                self._left += self._out.read()
                self._owes = False
            finally:
                self._mu.unlock()
            if not self._left or self._werr is not None:
                return
            self._left = self._left[self._inner._trywrite(self._left) :]
            if not self._left:
                return
        except OSError as exc:
            self._werr = copied(exc)
            return
        finally:
            self._unlockwrite()
        go(self._flush)

    def _trywrite(self, data: Buffer) -> int:
        if not self._done or not self._wmu.try_lock():
            return 0
        try:
            if self._closed or self._shut or self._werr is not None:
                return 0
            self._locknow()
            try:
                n = self._encrypt(data)
                self._owes = True
            except ssl.SSLError:
                return 0
            finally:
                self._mu.unlock()
        finally:
            self._unlockwrite()
        return n

    def _discard(self) -> None:
        self._inner._discard()

    def _unlockwrite(self) -> None:
        self._wmu.unlock()
        if self._owes:
            self._flushsoon()

    async def _flush(self) -> None:
        await self._wmu.lock()
        try:
            await self._push(b"")
        except OSError:
            pass
        finally:
            self._unlockwrite()

    async def _progress(self, seen: int) -> None:
        """Until something more has come in than when that was counted."""
        told: Chan[None] = Chan()
        self._told = told
        if self._fed != seen:
            return
        if not self._rmu.try_lock():
            await told.recv()
            return
        try:
            self._told = None
            chunk = await self._fetch("write")
            if not chunk:
                raise self._truncated()
            self._fetched = chunk
            async with self._mu:
                data = self._open(_RECORD)
                if data:
                    self._plain += data
                    self._dry = False
        finally:
            self._rmu.unlock()

    # --- the end -------------------------------------------------------------------------------

    def _drain(self) -> None:
        """What has come goes into `_plain`, for who says that this is the end loses it else."""
        try:
            while data := self._decrypt(_RECORD):
                self._plain += data
                self._dry = False
            self._eof = True
        except ssl.SSLWantReadError:
            return
        except ssl.SSLZeroReturnError:
            self._eof = True
        except ssl.SSLError as exc:
            self._rerr = copied(exc)
        self._dry = False

    def _sayend(self) -> None:
        try:
            self._ssl.unwrap()
        except ssl.SSLError:
            pass  # it wants to read the other side's end, or there was an error before

    def _lastword(self) -> bytes:
        """Say that this is the end; what of it could not be sent at once."""
        if self._werr is not None:
            return b""
        self._locknow()
        try:
            if not self._shut:
                self._sayend()
            bye = self._left + self._out.read()
        finally:
            self._mu.unlock()
        sent = self._inner._trywrite(bye) if bye else 0
        # A server's tickets may lie there. Over them the kernel would reset the connection, and
        # drop what was written and has not gone yet.
        self._inner._discard()
        return bye[sent:]

    async def _late(self, rest: bytes) -> None:
        try:
            await self._inner.write(rest)
        except OSError:
            pass
        finally:
            self._inner.close()
