"""What a keeper and those who use its queue say to each other, as bytes.

    frame = length of the rest (4 bytes), operation (1), what belongs to it

To the keeper              from it
  HELLO  a JSON object       WELCOME  a JSON object
  SEND   value               REPLY    what a request has come to
  CANCEL a SEND that waits   ITEMS    values, leased
  PULL   how many more       END      closed, and all is done
  ACKS   numbers of values   ACKED    those that are done now, or were before
  AGAIN BURY TOUCH
  CLOSE  ASK a JSON object

Requests have a number that the REPLY repeats; what is acknowledged has its own. Whoever is
connected again sends those anew that have no reply yet.

Source: none. Tests: tests/workqueue/test_wire.py
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

__all__ = (
    "ACKED",
    "ACKS",
    "AGAIN",
    "ASK",
    "BURY",
    "CANCEL",
    "CLOSE",
    "END",
    "HELLO",
    "ITEMS",
    "LIMIT",
    "PULL",
    "REPLY",
    "SEND",
    "TOUCH",
    "WELCOME",
    "Frames",
    "acked",
    "acks",
    "again",
    "asking",
    "bury",
    "cancel",
    "frame",
    "items",
    "pull",
    "reply",
    "send",
    "split_acked",
    "split_acks",
    "split_again",
    "split_asking",
    "split_bury",
    "split_items",
    "split_letters",
    "split_number",
    "split_reply",
    "split_send",
    "split_touch",
    "touch",
    "write_letters",
)

HELLO, SEND, CANCEL, PULL, ACKS, AGAIN, BURY, TOUCH, CLOSE, ASK = range(1, 11)
WELCOME, REPLY, ITEMS, END, ACKED = range(33, 38)

LIMIT: Final = 80 << 20  # bytes of a frame: a page of dead letters is the largest
_BATCH: Final = 1 << 20  # bytes of values in a frame, if they are more than one

_HEAD: Final = struct.Struct("!IB")
_SEND: Final = struct.Struct("!IBIB")
_SENT: Final = struct.Struct("!IB")
_NUMBER: Final = struct.Struct("!IBI")
_AGAIN: Final = struct.Struct("!IBIQHd?")
_BURY: Final = struct.Struct("!IBIQH")
_TOUCH: Final = struct.Struct("!QH")
_ITEMS: Final = struct.Struct("!IBI")
_ITEM: Final = struct.Struct("!QHI")
_REPLY: Final = struct.Struct("!IBIB")
_LETTER: Final = struct.Struct("!QHII")
_IN_NUMBER: Final = struct.Struct("!I")
_IN_AGAIN: Final = struct.Struct("!IQHd?")
_IN_BURY: Final = struct.Struct("!IQH")
_IN_REPLY: Final = struct.Struct("!IB")


def frame(op: int, body: bytes = b"") -> bytes:
    return _HEAD.pack(1 + len(body), op) + body


class Frames:
    """What has come of a stream, cut into frames."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The frames that are whole now: operation and what belongs to it.

        Raises:
            ValueError: it is no stream of frames.
        """
        if self._data:
            data = self._data + data
        at, end = 0, len(data)
        while end - at >= 4:
            n = int.from_bytes(data[at : at + 4], "big")
            if not 0 < n <= LIMIT:
                raise ValueError(f"a frame of {n:,} bytes: who speaks there is no gopark")
            stop = at + 4 + n
            if stop > end:
                break
            yield data[at + 4], data[at + 5 : stop]
            at = stop
        self._data = data[at:] if at else data


# --- to the keeper --------------------------------------------------------------------------------


def send(req: int, payload: bytes, id: bytes) -> bytes:
    return _SEND.pack(6 + len(id) + len(payload), SEND, req, len(id)) + id + payload


def split_send(body: bytes) -> tuple[int, bytes, str]:
    req, n = _SENT.unpack_from(body)
    return req, body[5 + n :], body[5 : 5 + n].decode() if n else ""


def cancel(req: int) -> bytes:
    return _NUMBER.pack(5, CANCEL, req)


def pull(n: int) -> bytes:
    return _NUMBER.pack(5, PULL, n)


def split_number(body: bytes) -> int:
    return _IN_NUMBER.unpack_from(body)[0]  # type: ignore[no-any-return]


def acks(seqs: Sequence[int]) -> bytes:
    return frame(ACKS, struct.pack(f"!{len(seqs)}Q", *seqs))


def split_acks(body: bytes) -> tuple[int, ...]:
    return struct.unpack(f"!{len(body) // 8}Q", body)


def again(req: int, seq: int, tries: int, delay: float, untried: bool) -> bytes:
    return _AGAIN.pack(_AGAIN.size - 4, AGAIN, req, seq, tries, delay, untried)


def split_again(body: bytes) -> tuple[int, int, int, float, bool]:
    return _IN_AGAIN.unpack(body)


def bury(req: int, seq: int, tries: int, why: str) -> bytes:
    data = why.encode(errors="replace")
    return _BURY.pack(_BURY.size - 4 + len(data), BURY, req, seq, tries) + data


def split_bury(body: bytes) -> tuple[int, int, int, str]:
    return *_IN_BURY.unpack_from(body), body[_IN_BURY.size :].decode()


def touch(leases: list[tuple[int, int]]) -> bytes:
    return frame(TOUCH, b"".join([_TOUCH.pack(*lease) for lease in leases]))


def split_touch(body: bytes) -> Iterator[tuple[int, int]]:
    return _TOUCH.iter_unpack(body)


def asking(op: int, req: int, body: bytes = b"") -> bytes:
    """CLOSE and ASK."""
    return _NUMBER.pack(5 + len(body), op, req) + body


def split_asking(body: bytes) -> tuple[int, bytes]:
    return _IN_NUMBER.unpack_from(body)[0], body[4:]


# --- from the keeper ------------------------------------------------------------------------------


def reply(req: int, code: int, body: bytes = b"") -> bytes:
    return _REPLY.pack(6 + len(body), REPLY, req, code) + body


def split_reply(body: bytes) -> tuple[int, int, bytes]:
    return *_IN_REPLY.unpack_from(body), body[5:]


def items(found: list[tuple[int, int, bytes]]) -> bytes:
    """Values, each with its number and try: frames of about a megabyte at most, or one value."""
    size = sum([len(payload) for _, _, payload in found])
    if size > _BATCH and len(found) > 1:
        half = len(found) // 2
        return items(found[:half]) + items(found[half:])
    pack = _ITEM.pack
    heads = [pack(seq, min(tries, 65535), len(payload)) for seq, tries, payload in found]
    head = _ITEMS.pack(5 + _ITEM.size * len(heads) + size, ITEMS, len(heads))
    return b"".join([head, *heads, *[payload for _, _, payload in found]])


def split_items(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 4 + _ITEM.size * _IN_NUMBER.unpack_from(body)[0]
    for seq, tries, n in _ITEM.iter_unpack(body[4:at]):
        stop = at + n
        yield seq, tries, body[at:stop]
        at = stop


def acked(seqs: Sequence[int], unknown: Sequence[int]) -> bytes:
    """Those that are done by it, and those that were before, or are not known."""
    body = struct.pack(f"!I{len(unknown) + len(seqs)}Q", len(unknown), *unknown, *seqs)
    return frame(ACKED, body)


def split_acked(body: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    n, *seqs = struct.unpack(f"!I{len(body) // 8}Q", body)
    return tuple(seqs[n:]), tuple(seqs[:n])


def write_letters(jobs: Iterator[tuple[int, int, str, bytes]], most: int) -> bytes:
    """Dead letters: number, tries, why, value; at most so many bytes, but for the first."""
    out = bytearray()
    for seq, tries, why, payload in jobs:
        text = why.encode(errors="replace")
        if out and len(out) + len(payload) + len(text) > most:
            break
        out += _LETTER.pack(seq, min(tries, 65535), len(text), len(payload)) + text + payload
    return bytes(out)


def split_letters(data: bytes) -> Iterator[tuple[int, int, str, bytes]]:
    at = 0
    while at < len(data):
        seq, tries, m, n = _LETTER.unpack_from(data, at)
        at += _LETTER.size
        yield seq, tries, data[at : at + m].decode(), data[at + m : at + m + n]
        at += m + n
