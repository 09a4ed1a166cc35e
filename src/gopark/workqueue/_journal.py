"""Journal: what a keeper writes down, so that the next one can go on where it was.

A file to which records are appended, each with a checksum. It is written before anybody hears of
what it says, and not synced: it outlives the death of processes, not of the machine. A record that
is cut off is the last; it was never confirmed, and is cut away.

It is written by way of its mapping into memory, which the system keeps when the process is killed,
and which takes a call of the system once in a megabyte. Those bytes are allocated before, for
there is nobody to tell that the disk is full when a page is written. Behind the last record are
zeros.

When the file is mostly about jobs that are gone it is written anew, beside itself, and renamed.

    record   length and CRC-32 of the rest; kind; what it says
    kinds    H settings  S sent  T taken  G gone  D dead  R requeued  C closed or not  I an id
             N the last number given
             B records that were written at once: length, kind and what it says, of each
    T and G are about one value or several.

Source: none. Tests: tests/workqueue/test_journal.py
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final
from zlib import crc32

from gopark._runtime.base.timenow import now as wall
from gopark.workqueue._ledger import Job, Ledger
from gopark.workqueue._settings import Settings

__all__ = ("Journal",)

_HEAD: Final = struct.Struct("!II")
_SENT: Final = struct.Struct("!cQHdB")  # kind, seq, tries, when (if it has an id), length of the id
_SEQ: Final = struct.Struct("!cQ")
_NUMBER: Final = struct.Struct("!Q")
_TAKEN: Final = struct.Struct("!QH")
_LENGTH: Final = struct.Struct("!I")
_ID: Final = struct.Struct("!cd")

_SLACK: Final = 1 << 20  # bytes; below that a file is not written anew


class Journal:
    """The file of one queue, which its keeper has to itself. A ledger's `log`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._map: mmap.mmap | None = None
        self._mapped = 0
        self._out: list[bytes] = []
        self._taken = bytearray()  # of one record, which grows as long as nothing else is said
        self._gone: list[int] = []  # the same
        self._size = 0
        self._limit = _SLACK

    def close(self) -> None:
        if self._fd >= 0:
            self._unmap()
            os.ftruncate(self._fd, self._size)
            os.close(self._fd)
            self._fd = -1

    def _unmap(self) -> None:
        if self._map is not None:
            self._map.close()
            self._map, self._mapped = None, 0

    def _grow(self, size: int) -> mmap.mmap:
        """Have room for so many bytes. What is there is cut off behind the last record."""
        self._unmap()
        os.ftruncate(self._fd, self._size)
        size = (size // _SLACK + 1) * _SLACK
        os.posix_fallocate(self._fd, 0, size)
        self._map, self._mapped = mmap.mmap(self._fd, size), size
        return self._map

    def _record(self, body: bytes) -> None:
        if self._taken or self._gone:
            self._several()
        self._out.append(body)

    def _several(self) -> None:
        """The record that grew is whole."""
        if self._taken:
            self._out.append(b"T" + self._taken)
            self._taken = bytearray()
        else:
            self._out.append(struct.pack(f"!c{len(self._gone)}Q", b"G", *self._gone))
            self._gone = []

    def flush(self) -> None:
        """Write what is not yet in the file. Before anybody is told of it."""
        if self._taken or self._gone:
            self._several()
        out = self._out
        if not out:
            return
        if len(out) == 1:
            body = out[0]
        else:
            body = b"B" + b"".join([part for one in out for part in (_LENGTH.pack(len(one)), one)])
        size = self._size
        end = size + 8 + len(body)
        there = self._map
        if there is None or end > self._mapped:
            there = self._grow(end)
        there[size:end] = _HEAD.pack(len(body), crc32(body)) + body
        self._size = end
        self._out = []

    def _forget(self) -> None:
        """What is not yet in the file is not so."""
        self._out = []
        self._taken = bytearray()
        self._gone = []

    # --- a ledger's log -------------------------------------------------------------------------

    def settings(self, settings: Settings) -> None:
        self._record(b"H" + json.dumps(asdict(settings)).encode())

    def put(self, job: Job) -> None:
        id = job.id.encode()
        when = wall() if id else 0.0
        self._record(
            _SENT.pack(b"S", job.seq, min(job.tries, 65535), when, len(id)) + id + job.payload
        )

    def taken(self, seq: int, tries: int) -> None:
        if self._gone:
            self._several()
        self._taken += _TAKEN.pack(seq, min(tries, 65535))

    def gone(self, seq: int) -> None:
        if self._taken:
            self._several()
        self._gone.append(seq)

    def dead(self, seq: int, why: str) -> None:
        self._record(_SEQ.pack(b"D", seq) + why.encode(errors="replace"))

    def requeued(self, seq: int) -> None:
        self._record(_SEQ.pack(b"R", seq))

    def closed(self, closed: bool) -> None:
        self._record(b"C\1" if closed else b"C\0")

    # --- reading it -----------------------------------------------------------------------------

    def load(self, now: float) -> Ledger | None:
        """The ledger that it tells of; None if it is empty. What is cut off at its end is dropped.

        Jobs that somebody had when it was written are leased once more, to nobody: who has them
        still renews that, and else they come back when it is over.
        """
        with open(self._fd, "rb", closefd=False) as file:
            file.seek(0)
            data = file.read()
        reading = _Reading(now)
        end = 0
        for body, after in _records(data):
            reading.record(body)
            end = after
        self._size = end
        ledger = reading.ledger
        if ledger is not None:
            reading.finish()
            ledger.log = self
        return ledger

    # --- writing it anew ------------------------------------------------------------------------

    def compact(self, ledger: Ledger, now: float) -> None:
        """Write it anew if it has grown to twice what it has to say, and more than a megabyte."""
        if self._size < self._limit:
            return
        self.flush()
        old, self._fd = self._fd, -1
        oldsize, self._size = self._size, 0
        self._unmap()
        new = self.path + ".new"
        try:
            self._fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            self._whole(ledger, now)
            os.replace(new, self.path)
        except BaseException:  # it goes on with the old one, which says the same
            self._forget()
            self._unmap()
            if self._fd >= 0:
                os.close(self._fd)
            self._fd, self._size = old, oldsize
            self._limit = 2 * self._size
            raise
        os.close(old)
        self._limit = max(_SLACK, 2 * self._size)

    def _whole(self, ledger: Ledger, now: float) -> None:
        self.settings(ledger.settings)
        self._record(_SEQ.pack(b"N", ledger.seq))  # of none again: late words are about the old
        ledger.forget(now)
        for id, when in ledger.ids.items():
            self._record(_ID.pack(b"I", wall() - (now - when)) + id.encode())
        places = (ledger.leased.values(), ledger.delayed.values(), ledger.waiting)
        for job in sorted((job for jobs in places for job in jobs), key=lambda job: job.seq):
            self._job(job)
            self.flush()
        for job in ledger.leased.values():
            self.taken(job.seq, job.tries)
        for job in ledger.dead.values():
            self._job(job)
            self.dead(job.seq, job.why)
            self.flush()
        if ledger.closed:
            self.closed(True)
        self.flush()

    def _job(self, job: Job) -> None:
        self._record(_SENT.pack(b"S", job.seq, min(job.tries, 65535), 0.0, 0) + job.payload)


def _records(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Each record, and where it ends; up to the first that is not whole."""
    at = 0
    while at + _HEAD.size <= len(data):
        size, crc = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + size
        body = data[at + _HEAD.size : end]
        if len(body) < size or not body or crc32(body) != crc:
            return
        yield body, end
        at = end


class _Reading:
    """A ledger, from its records."""

    def __init__(self, now: float) -> None:
        self.ledger: Ledger | None = None
        self._now = now
        self._jobs: dict[int, Job] = {}
        self._leased: set[int] = set()

    def record(self, body: bytes) -> None:
        kind = body[:1]
        if kind == b"B":
            at = 1
            while at < len(body):
                at, start = at + 4 + _LENGTH.unpack_from(body, at)[0], at + 4
                self.record(body[start:at])
            return
        if kind == b"H":
            self.ledger = Ledger(Settings(**json.loads(body[1:])))
            return
        assert self.ledger is not None
        if kind == b"S":
            _, seq, tries, when, n = _SENT.unpack_from(body)
            at = _SENT.size
            self.ledger.seq = max(self.ledger.seq, seq)
            self._jobs[seq] = Job(seq, body[at + n :], body[at : at + n].decode(), tries)
            if n:
                self._id(body[at : at + n], when)
        elif kind == b"I":
            self._id(body[_ID.size :], _ID.unpack_from(body)[1])
        elif kind == b"C":
            self.ledger.closed = body == b"C\1"
        elif kind == b"N":
            self.ledger.seq = _SEQ.unpack_from(body)[1]
        else:
            self._of(kind, body, self.ledger)

    def _id(self, id: bytes, when: float) -> None:
        assert self.ledger is not None
        self.ledger.ids[id.decode()] = self._now - max(0.0, wall() - when)

    def _of(self, kind: bytes, body: bytes, ledger: Ledger) -> None:
        """What became of jobs."""
        if kind == b"T":
            for seq, tries in _TAKEN.iter_unpack(body[1:]):
                self._taken(ledger, seq, tries)
            return
        for (seq,) in _NUMBER.iter_unpack(body[1:] if kind == b"G" else body[1:9]):
            job = self._jobs.get(seq) or ledger.dead.get(seq)
            if job is None:
                continue
            if kind == b"G":
                self._jobs.pop(seq, None)
                ledger.dead.pop(seq, None)
            elif kind == b"D":
                job.why = body[_SEQ.size :].decode()
                ledger.dead[seq] = self._jobs.pop(seq, job)
                self._leased.discard(seq)
            elif kind == b"R":
                ledger.dead.pop(seq, None)
                job.tries, job.why = 0, ""
                self._jobs[seq] = job

    def _taken(self, ledger: Ledger, seq: int, tries: int) -> None:
        job = self._jobs.get(seq) or ledger.dead.get(seq)
        if job is not None:
            (self._leased.add if tries >= job.tries else self._leased.discard)(seq)
            job.tries = tries

    def finish(self) -> None:
        ledger = self.ledger
        assert ledger is not None
        for job in sorted(self._jobs.values(), key=lambda job: job.seq):
            if job.seq in self._leased:
                job.until = self._now + ledger.settings.lease
                ledger.leased[job.seq] = job
            else:
                ledger.waiting.append(job)
