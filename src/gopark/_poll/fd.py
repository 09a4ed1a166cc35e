"""FD: one descriptor, one reader and one writer at a time, and when it may be closed.

Invariants, true whenever `lock` is free:
  F1  `reading` while a goroutine reads or waits to; others wait for their turn in `_rturn`. The
      same for writing: so what one call writes lies in one piece
  F2  the descriptor is closed by who makes the last of `closing`, not `reading`, not `writing`
      true: no number is used by somebody that is another's by now

Reading. One that finds nothing is a system call for nothing. So it is not tried first: one that got
less than it asked for has emptied the buffer (epoll(7)), and the next edge comes. `more` says that
this is not so: it got all that it asked for, or the other side has gone (`rend`), or the last one
was broken off, by its deadline, an interrupt, too large a count, and may have used an edge up by
then. Writing is always tried first.

Source: Go 1.27 internal/poll/fd_unix.go, fd_mutex.go. Left out: descriptors that block.
Tests: tests/net/test_fd.py
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Generator
from typing import Any, Protocol

from gopark._poll.errors import ClosedError, named
from gopark._runtime.base.errors import AmidRuntime
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.lockrank import Mutex, lockslow
from gopark._runtime.base.lockrank import lock as take
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import PARK, Command, G, tls
from gopark._runtime.base.suspend import called, suspends
from gopark._runtime.net.netpoll import REASON, PollDesc
from gopark._runtime.sched.finq import later
from gopark._runtime.sched.lockedm import notparked
from gopark._runtime.sched.runq import ready
from gopark._runtime.sched.sema import HANDOFF, WOKEN, Sema, ongoroutine
from gopark._runtime.twin import PollDescBase, native, slots

__all__ = ("FD", "Raw")

Buffer = bytes | bytearray | memoryview


def _retake(mu: Mutex) -> None:
    """As `take`, for who has had the lock in the same call: see lockrank.Regaining."""
    try:
        mu.pop()
    except IndexError:
        lockslow(mu, again=True)


class Raw(Protocol):
    """What an FD needs of the socket, or the file, that it owns."""

    def fileno(self) -> int: ...
    def close(self) -> None: ...


class FD(PollDesc):
    """A descriptor in the poller, with all that waits on it. Go: poll.FD."""

    __slots__ = slots(
        PollDescBase,
        "_destroyed",
        "_rturn",
        "_wturn",
        "more",
        "name",
        "raw",
        "reading",
        "recv",
        "send",
        "writing",
    )

    def __init__(
        self, raw: Raw, recv: Callable[[int], Any], send: Callable[[Any], int], name: str
    ) -> None:
        self.raw = raw
        self.recv = recv  # both raise BlockingIOError where they would have to wait
        self.send = send
        self.name = name  # in errors: "tcp 127.0.0.1:80->127.0.0.1:5000"
        self.more = False
        self.reading = self.writing = False
        self._rturn: Sema | None = None
        self._wturn: Sema | None = None
        self._destroyed = True  # nothing to close, should this fail
        super().__init__(raw.fileno())
        self._destroyed = False

    # --- turns -----------------------------------------------------------------------------

    def closed(self, what: str) -> ClosedError:
        return ClosedError(f"{what} {self.name}: use of closed connection")

    def failed(self, what: str, exc: OSError) -> OSError:
        """The error of the system, of the same class, which tells where that was."""
        return named(exc, f"{what} {self.name}")

    def refused(self, what: str, write: bool) -> None:
        """Raise what stands against this operation, if it still does. The lock is free.

        Raises:
            ClosedError: it is closed.
            TimeoutError: the deadline has passed.
        """
        if self.closing:
            raise self.closed(what)
        try:
            self.check(write)
        except TimeoutError:
            raise TimeoutError(f"{what} {self.name}: i/o timeout") from None

    @suspends
    def turn(self, what: str, write: bool) -> Generator[Command, None, None]:
        """Have the direction to oneself, until `release`. Go: fdMutex.rwlock.

        Raises:
            ClosedError: it is closed, or was while this waited.
        """
        take(self.lock)
        try:
            sema = self._queued(what, write)
        except BaseException:
            self.unlock(None)
            raise
        if sema is None:
            self.unlock(None)
            return
        g: G = sema.waiters[-1]  # type: ignore[misc]
        try:
            _ = None is (None is (yield PARK))
        except BaseException as exc:
            sema.left(g, exc, lambda given: self.release(write) if given is HANDOFF else None)
            raise
        given, g.elem = g.elem, None
        if given is not HANDOFF:
            raise self.closed(what)

    def _queued(self, what: str, write: bool) -> Sema | None:
        """Lock held. None: the turn is the caller's; else it is on the queue, and is to park."""
        if self.closing:
            raise self.closed(what)
        if not (self.writing if write else self.reading):
            self._own(write, True)
            return None
        g = ongoroutine(f"{what} {self.name}", "gopark.block(...)")
        sema = self._wturn if write else self._rturn
        if sema is None:
            sema = Sema(self.lock)
            if write:
                self._wturn = sema
            else:
                self._rturn = sema
        sema.enqueue(g)
        sema.park(g, REASON)
        return sema

    def _own(self, write: bool, on: bool) -> None:
        if write:
            self.writing = on
        else:
            self.reading = on

    def release(self, write: bool) -> None:
        """The operation is over: who waits is next, who closed it gets it closed."""
        _retake(self.lock)
        sema = self._wturn if write else self._rturn
        g = None
        if sema is not None and not self.closing:
            g = sema.dequeue(HANDOFF)
        if g is None:
            self._own(write, False)
        last = self._islast()
        self.unlock(None)
        if last:
            self._destroy()
        if g is not None:
            ready(g)

    def _islast(self) -> bool:
        """Lock held. True once: the caller closes the descriptor."""
        if not self.closing or self.reading or self.writing or self._destroyed:
            return False
        self._destroyed = True
        return True

    # --- waiting ---------------------------------------------------------------------------

    @suspends
    def wait(self, what: str, write: bool) -> Generator[Command, None, None]:
        """Until there is an edge that nobody has used; the caller has the turn.

        Raises:
            ClosedError: it is closed.
            TimeoutError: the deadline has passed.
        """
        while True:
            _retake(self.lock)  # the caller has had it, for the turn
            if self.wbad if write else self.rbad:
                self.unlock(None)
                self.refused(what, write)
                continue
            if self.wready if write else self.rready:
                if write:
                    self.wready = False
                else:
                    self.rready = False
                self.unlock(None)
                return
            break
        m = tls.m
        if m is None or (g := m.curg) is None:
            self.unlock(None)
            ongoroutine(f"{what} {self.name}", "gopark.block(...)")
            raise AssertionError
        if self.backend.arm is not None:
            self._ask(write)
        if write:
            self.wg = g
        else:
            self.rg = g
        g.waiting = self
        g.waitreason = REASON
        m.waitunlockf = self.unlock
        try:
            _ = None is (None is (yield PARK))
        except BaseException as exc:
            notparked(self, exc)
            raise
        if self.wbad if write else self.rbad:
            self.refused(what, write)

    def _ask(self, write: bool) -> None:
        """The poller wants to know of each wait. Lock held; it is free if this fails."""
        try:
            self.backend.arm(self.fd, write)
        except BaseException:
            self.unlock(None)
            raise

    # --- read ------------------------------------------------------------------------------

    @called("Conn.read")
    @suspends
    def read(self, n: int) -> Generator[Command, None, Any]:
        """Up to `n` bytes, as soon as there are some; none at the end. Go: FD.Read.

        As `turn`, `wait` and `release`, in line, for it is on the way of each request.
        """
        lock = self.lock
        try:
            lock.pop()
        except IndexError:
            lockslow(lock)
        if self.reading or self.closing:
            lock.append(None)
            yield from self.turn("read", False)  # type: ignore[misc]
            _retake(lock)
        self.reading = True
        try:
            if self.more and not self.rbad:
                lock.append(None)
                try:
                    data = self.recv(n)
                    if len(data) != n and not self.rend:
                        self.more = False
                    return data
                except BlockingIOError:
                    _retake(lock)
                except OSError as exc:
                    raise self.failed("read", exc) from None
            self.more = True  # should it be broken off
            while True:
                if self.rbad:
                    lock.append(None)
                    self.refused("read", False)
                    _retake(lock)
                    continue
                if self.rready:
                    self.rready = False
                    lock.append(None)
                else:
                    m = tls.m
                    if m is None or (g := m.curg) is None:
                        lock.append(None)
                        ongoroutine(f"read {self.name}", "gopark.block(...)")
                        raise AssertionError
                    if self.backend.arm is not None:
                        self._ask(False)
                    self.rg = g
                    g.waiting = self
                    g.waitreason = "IO wait"
                    m.waitunlockf = self.unlock
                    try:
                        _ = None is (None is (yield PARK))
                    except BaseException as exc:
                        notparked(self, exc)
                        raise
                    if self.rbad:
                        self.refused("read", False)
                try:
                    data = self.recv(n)
                except BlockingIOError:
                    _retake(lock)
                    continue
                except OSError as exc:
                    raise self.failed("read", exc) from None
                self.more = len(data) == n or self.rend
                return data
        finally:
            try:
                lock.pop()
            except IndexError:
                lockslow(lock, again=True)
            if self.closing or self._rturn is not None:
                self.unlock(None)
                self.release(False)
            else:
                self.reading = False
                lock.append(None)

    # --- write -----------------------------------------------------------------------------

    @called("Conn.write")
    @suspends
    def write(self, data: Buffer) -> Generator[Command, None, int]:
        """All of it. Go: FD.Write."""
        lock = self.lock
        try:
            lock.pop()
        except IndexError:
            lockslow(lock)
        if self.writing or self.closing:
            lock.append(None)
            yield from self.turn("write", True)  # type: ignore[misc]
        else:
            self.writing = True
            lock.append(None)
        try:
            if self.wbad:
                self.refused("write", True)
            try:
                n = self.send(data)
            except BlockingIOError:
                n = 0
            except OSError as exc:
                raise self.failed("write", exc) from None
            except TypeError:
                raise TypeError(
                    f"write() needs bytes, got {shown(data)}: encode text first"
                ) from None
            size = len(data) if type(data) is bytes else memoryview(data).nbytes
            if n != size:
                yield from self._writerest(memoryview(data).cast("B")[n:])  # type: ignore[misc]
            return size
        finally:
            try:
                lock.pop()
            except IndexError:
                lockslow(lock, again=True)
            if self.closing or self._wturn is not None:
                self.unlock(None)
                self.release(True)
            else:
                self.writing = False
                lock.append(None)

    async def _writerest(self, rest: memoryview) -> None:
        while rest:
            await self.wait("write", True)
            try:
                rest = rest[self.send(rest) :]
            except BlockingIOError:
                continue
            except OSError as exc:
                raise self.failed("write", exc) from None

    # --- without waiting, for who goes ---------------------------------------------------------

    def _trylock(self, write: bool) -> bool:
        """The turn, if nobody has it and the descriptor is open; until `release`."""
        take(self.lock)
        free = not (self.closing or (self.writing if write else self.reading))
        if free:
            self._own(write, True)
        self.unlock(None)
        return free

    def tryread(self, n: int) -> Any:
        """What is there, up to `n` bytes; None where there is nothing, or another reads."""
        if not self._trylock(False):
            return None
        try:
            return self.recv(n)
        except BlockingIOError:
            return None
        finally:
            self.release(False)

    def trywrite(self, data: Buffer) -> int:
        """As much as can be sent at once; nothing where another writes. Deadlines do not count."""
        if not self._trylock(True):
            return 0
        try:
            return self.send(data)
        except BlockingIOError:
            return 0
        finally:
            self.release(True)

    # --- close -----------------------------------------------------------------------------

    def close(self) -> None:
        """Who waits is woken, and the descriptor closed once nobody uses it. Go: FD.Close.

        Raises:
            ClosedError: it is closed already.
        """
        take(self.lock)
        if self.closing:
            self.unlock(None)
            raise self.closed("close")
        self.evict()
        last = self._islast()
        self.unlock(None)
        try:
            if last:
                self._destroy()
        finally:
            self._wakeall()

    def _wakeall(self) -> None:
        """After `evict`. One at a time: there may be no memory for a list of them."""
        try:
            while (g := self._evicted()) is not None:
                ready(g)
        except MemoryError as exc:  # they would wait for ever
            hooks.throw(exc)

    def _evicted(self) -> G | None:
        """One of those who wait; the caller wakes it."""
        _retake(self.lock)
        try:
            g = self.take(False)
            if g is None:
                g = self.take(True)
            if g is None and self._rturn is not None:
                g = self._rturn.dequeue(WOKEN)
            if g is None and self._wturn is not None:
                g = self._wturn.dequeue(WOKEN)
            return g
        finally:
            self.unlock(None)

    def _destroy(self) -> None:
        try:
            self.unregister()
        except MemoryError:
            self.raw.close()  # nobody comes back for it, as somebody does after an AmidRuntime
            raise
        self.raw.close()

    def elsewhere(self) -> str:
        return self.name

    def forked(self) -> None:
        super().forked()
        self.reading = self.writing = False
        self._rturn = self._wturn = None

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if self._destroyed or self.closing:
            return
        try:
            self._dropped()
        except Exception as exc:
            # At the end of the interpreter modules are taken to pieces, and what is called may be
            # None by now. The descriptor goes with the process.
            if isinstance(exc, Warning) or not ending():
                raise

    def _dropped(self) -> None:
        text = f"unclosed connection {self.name}"
        try:
            self.close()
        except AmidRuntime:
            later(_destroy, self.backend, self.fd, self.raw)
        warnings.warn(text, ResourceWarning, source=self, stacklevel=3)  # last: it may raise


def _destroy(backend: Any, fd: int, raw: Raw) -> None:
    if backend is not None:
        backend.close(fd)
    raw.close()


if native is not None:
    native.install(retake=_retake)
    native.install(ongoroutine=ongoroutine, notparked=notparked)
    for _name in ("read", "write"):
        setattr(FD, _name, native.fdmethod(_name, vars(FD)[_name]))
