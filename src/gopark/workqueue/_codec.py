"""Codecs: how values become bytes. Each is a class that is used as it is: `codec=workqueue.json`.

A queue has the name of its codec among its settings, so that two who use it agree. Pickle runs what
it reads, so it is never chosen by a name that comes from outside.

Source: none. Tests: tests/workqueue/test_codec.py
"""

from __future__ import annotations

import importlib
import json as _json
import pickle
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, Protocol

from gopark._runtime.base.printstring import shown
from gopark.workqueue._errors import NotEncodable

__all__ = ("Codec", "codec_named", "encoded", "json", "msgspec", "raw", "unsafe_pickle")


class Codec(Protocol):
    """What turns values into bytes and back: a name, `encode` and `decode`.

    Example:
        >>> class upper:
        ...     name = "upper"
        ...     encode = staticmethod(lambda text: text.upper().encode())
        ...     decode = staticmethod(lambda data: data.decode())
        >>> codec: gopark.workqueue.Codec = upper
        >>> codec.decode(codec.encode("abc"))
        'ABC'

    Go: none; encoding.BinaryMarshaler.
    """

    name: str

    def encode(self, value: Any, /) -> bytes:
        """The value as bytes; raises whatever if it cannot be written.

        Example:
            >>> gopark.workqueue.json.encode([1, "x"])
            b'[1,"x"]'

        Go: BinaryMarshaler.MarshalBinary.
        """

    def decode(self, data: bytes, /) -> Any:
        """What `encode` was given.

        Example:
            >>> gopark.workqueue.json.decode(b'[1,"x"]')
            [1, 'x']

        Go: BinaryUnmarshaler.UnmarshalBinary.
        """


_writer: Final = _json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_reader: Final = _json.JSONDecoder()
_scan: Final[Callable[[str, int], tuple[Any, int]]] = _reader.scan_once  # type: ignore[attr-defined]


def _chunks() -> Callable[[Any, int], Iterable[str]] | None:
    """What `_writer` makes anew for each value, which takes it four times as long as to write it.

    It has no marks against circles: those end by RecursionError, and `_writer` says what is wrong.
    """
    make: Any = getattr(_json.encoder, "c_make_encoder", None)
    if make is None:
        return None
    text = _json.encoder.encode_basestring
    made = make(None, _writer.default, text, None, ":", ",", False, False, False)
    return made  # type: ignore[no-any-return]


_write: Final = _chunks()


class json:
    """JSON, of the standard library: a tuple arrives as a list, and keys of dicts as strings.

    Example:
        >>> gopark.workqueue.json.decode(gopark.workqueue.json.encode({"n": 1}))
        {'n': 1}

    Go: encoding/json.
    """

    name: ClassVar[str] = "json"

    @staticmethod
    def encode(value: Any, /) -> bytes:
        if _write is not None:
            try:
                return "".join(_write(value, 0)).encode()
            except RecursionError:
                pass
        return _writer.encode(value).encode()

    @staticmethod
    def decode(data: bytes, /) -> Any:
        text = data.decode()
        try:
            value, end = _scan(text, 0)
        except StopIteration:
            end = -1
        return value if end == len(text) else _reader.decode(text)  # with spaces, or an error


class msgspec:
    """MessagePack, by the package msgspec, which has to be installed: smaller, and takes bytes.

    Example:
        >>> gopark.workqueue.msgspec.name
        'msgspec'

    Go: none.
    """

    name: ClassVar[str] = "msgspec"

    @staticmethod
    def encode(value: Any, /) -> bytes:
        return _msgspec().encode(value)  # type: ignore[no-any-return]

    @staticmethod
    def decode(data: bytes, /) -> Any:
        return _msgspec().decode(data)


_packer: list[Any] = []


def _msgspec() -> Any:
    if not _packer:
        try:
            _packer.append(importlib.import_module("msgspec.msgpack"))
        except ImportError as exc:
            raise NotEncodable(
                "the codec workqueue.msgspec needs the package msgspec: pip install msgspec"
            ) from exc
    return _packer[0]


class raw:
    """Bytes as they are.

    Example:
        >>> gopark.workqueue.raw.encode(bytearray(b"abc"))
        b'abc'

    Go: []byte.
    """

    name: ClassVar[str] = "raw"

    @staticmethod
    def encode(value: Any, /) -> bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError("it takes bytes alone")
        return bytes(value)

    @staticmethod
    def decode(data: bytes, /) -> bytes:
        return data


class unsafe_pickle:
    """Pickle: any value, and *whoever can send to the queue can run any code in its receivers*.

    Each who opens the queue has to name it, so that nobody unpickles without having said so.

    Example:
        >>> gopark.workqueue.unsafe_pickle.decode(gopark.workqueue.unsafe_pickle.encode({1, 2}))
        {1, 2}

    Go: none; encoding/gob is not like it.
    """

    name: ClassVar[str] = "unsafe_pickle"

    @staticmethod
    def encode(value: Any, /) -> bytes:
        return pickle.dumps(value, protocol=5)

    @staticmethod
    def decode(data: bytes, /) -> Any:
        return pickle.loads(data)


_BYNAME: Final[dict[str, Codec]] = {"json": json, "msgspec": msgspec, "raw": raw}


def codec_named(name: str) -> Codec | None:
    """That of a queue which is there already, if it may be chosen by its name alone."""
    return _BYNAME.get(name)


def _instead(codec: Codec, exc: Exception) -> str:
    if codec is not json:
        return ""
    if "bytes" in str(exc):
        return "; for bytes open the queue with codec=workqueue.msgspec, or raw"
    return "; make it of dicts, lists, texts and numbers, or open the queue with another codec"


def encoded(codec: Codec, value: object) -> bytes:
    """The value as bytes.

    Raises:
        NotEncodable: the codec cannot write it.
    """
    try:
        data = codec.encode(value)
    except NotEncodable:
        raise
    except Exception as exc:
        raise NotEncodable(
            f"the codec {shown(codec.name)} of the queue cannot write {_brief(value)}: {exc}"
            f"{_instead(codec, exc)}"
        ) from exc
    if not isinstance(data, bytes):
        raise NotEncodable(f"the codec {shown(codec.name)} gave {_brief(data)}, which is no bytes")
    return data


def _brief(value: object) -> str:
    text = shown(value)
    return text if len(text) <= 200 else text[:197] + "..."
