"""copy and sendfile: from one stream to another, and from a file."""

from __future__ import annotations

import gzip
import io
import os
import random

import pytest

import gopark
from gopark import go, net
from gopark.testing import wait_all_parked
from gopark.time import monotonic
from netpeers import outcome, pair

SIZE = 5_000_000  # more than the buffers of a connection


class Source:
    """A stream of given pieces, after which an error comes if there is one."""

    def __init__(self, *pieces, error=None):
        self.pieces = list(pieces)
        self.asked = []
        self.error = error

    async def read(self, n):
        self.asked.append(n)
        if self.pieces:
            return self.pieces.pop(0)
        if self.error is not None:
            raise self.error
        return b""


class Sink:
    def __init__(self):
        self.data = b""

    async def write(self, data):
        self.data += data


# --- copy ---------------------------------------------------------------------------------------


async def test_all_up_to_the_end():
    sink = Sink()
    assert await net.copy(sink, Source(b"abc", b"de")) == 5
    assert sink.data == b"abcde"


@pytest.mark.parametrize("limit", [0, 1, 4, 5, 6, 100])
async def test_no_more_than_the_limit_is_read_and_written(limit):
    a, b = await pair()
    with a, b:
        await a.write(b"abcde")
        a.close_write()
        sink = Sink()
        assert await net.copy(sink, b, limit) == min(limit, 5)
        assert sink.data == b"abcde"[:limit]
        assert await net.Reader(b).read_all() == b"abcde"[limit:]


async def test_between_connections_of_all_kinds():
    data = random.Random(1).randbytes(SIZE)
    (a, b), (c, d) = await pair(), net.pipe()
    got = gopark.Chan()

    async def send():
        await a.write(data)
        a.close()

    async def forward():
        with b, c:
            await got.send(await net.copy(c, b))

    go(send)
    go(forward)
    received = gopark.Chan()
    go(outcome, net.Reader(d).read_all(), received)
    assert await got.recv() == SIZE
    assert await received.recv() == data


async def test_what_a_reader_has_read_too_much_comes_first():
    a, b = net.pipe()
    go(a.write, b"line\nrest")
    reader = net.Reader(b)
    assert await reader.read_line() == b"line"
    sink = Sink()
    assert await net.copy(sink, reader, 4) == 4
    assert sink.data == b"rest"


async def test_an_error_comes_after_what_was_read_has_been_written():
    sink = Sink()
    with pytest.raises(ConnectionResetError):
        await net.copy(sink, Source(b"abc", error=ConnectionResetError()))
    assert sink.data == b"abc"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((object(), Source()), r"write\(data\) first"),
        ((Sink(), object()), r"read\(n\) second"),
        ((Sink(), Source(), "5"), "limit"),
        ((Sink(), Source(), True), "limit"),
    ],
)
async def test_bad_arguments_of_copy(args, text):
    with pytest.raises(TypeError, match=text):
        await net.copy(*args)


# --- sendfile -----------------------------------------------------------------------------------


@pytest.fixture
def content(tmp_path):
    data = random.Random(2).randbytes(SIZE)
    (tmp_path / "file").write_bytes(data)
    return tmp_path / "file", data


@pytest.fixture(params=["tcp", "pipe", "nosendfile"])
def ends(request, monkeypatch):
    """How to make two connections: by the system's sendfile, and where there is none."""
    if request.param == "pipe":

        async def made():
            return net.pipe()

        return made
    if request.param == "nosendfile":

        def no(*_):
            raise OSError(22, "Invalid argument")

        monkeypatch.setattr(os, "sendfile", no)
    return pair


@pytest.mark.go("net", "TestSendfile")
@pytest.mark.go("net", "TestSendfileSeeked")
@pytest.mark.parametrize(
    ("offset", "count"),
    [(0, None), (0, 100), (4_000_000, None), (3_000_000, 1_500_000), (4_999_999, 10), (0, 0)],
)
async def test_sendfile(content, ends, offset, count):
    path, data = content
    a, b = await ends()
    part = data[offset:] if count is None else data[offset : offset + count]
    with b:
        got = gopark.Chan(1)
        go(outcome, net.Reader(b).read_all(), got)
        with a, path.open("rb") as file:
            assert await a.sendfile(file, offset, count) == len(part)
            assert file.tell() == offset + len(part)
        assert await got.recv() == part


async def test_beyond_its_end_there_is_nothing(content, ends):
    a, b = await ends()
    with a, b, content[0].open("rb") as file:
        assert await a.sendfile(file, SIZE + 5) == 0


async def test_what_was_written_to_the_file_and_is_in_its_buffer_is_sent(tmp_path):
    a, b = await pair()
    with a, b, (tmp_path / "new").open("w+b") as file:
        file.write(b"fresh")
        assert await a.sendfile(file) == 5
        assert await b.read() == b"fresh"


async def test_files_that_are_none_of_the_systems(tmp_path):
    with gzip.open(tmp_path / "file.gz", "wb") as packed:
        packed.write(b"unpacked")
    a, b = await pair()
    with a, b, gzip.open(tmp_path / "file.gz") as file:
        assert await a.sendfile(file, 2) == 6
        assert await b.read() == b"packed"
        assert await a.sendfile(io.BytesIO(b"memory"), 1, 3) == 3
        assert await b.read() == b"emo"


@pytest.mark.go("net", "TestSendfileOnWriteTimeoutExceeded")
async def test_sendfile_on_write_timeout_exceeded(content):
    a, b = await pair()
    with content[0].open("rb") as file:
        with a:
            a.set_write_deadline(monotonic() + 0.05)
            with pytest.raises(TimeoutError, match=r"^sendfile tcp .*: i/o timeout$"):
                await a.sendfile(file)
            sent = file.tell()
            assert 0 < sent < SIZE
        with b:
            assert await net.Reader(b).read_all() == content[1][:sent]


async def test_close_ends_it(content):
    a, b = await pair()
    with b, content[0].open("rb") as file:
        got = gopark.Chan()
        go(outcome, a.sendfile(file), got)
        await wait_all_parked()
        a.close()
        assert isinstance(await got.recv(), net.ClosedError)
        with pytest.raises(net.ClosedError):
            await a.sendfile(file)


async def test_the_peer_has_gone(content):
    a, b = await pair()
    with a, content[0].open("rb") as file:
        got = gopark.Chan()
        go(outcome, a.sendfile(file), got)
        await wait_all_parked()
        b.close()  # what it has not read is a reset
        assert isinstance(await got.recv(), BrokenPipeError | ConnectionResetError)


async def test_it_is_not_mixed_with_a_write(content):
    path, data = content
    a, b = await pair()
    with b:
        got = gopark.Chan(1)
        go(outcome, net.Reader(b).read_all(), got)
        with a, path.open("rb") as file:
            done = gopark.Chan()
            go(outcome, a.sendfile(file), done)
            go(outcome, a.write(b"after"), done)
            assert {await done.recv(), await done.recv()} == {SIZE, 5}
        assert await got.recv() in (data + b"after", b"after" + data)


@pytest.mark.parametrize(
    ("args", "error", "text"),
    [
        ((0, -1), ValueError, "count must be at least 0"),
        ((-1,), ValueError, "offset must be at least 0"),
        (("0",), TypeError, "offset"),
        ((0, 1.5), TypeError, "count"),
    ],
)
async def test_bad_numbers_of_sendfile(content, ends, args, error, text):
    a, b = await ends()
    with a, b, content[0].open("rb") as file, pytest.raises(error, match=text):
        await a.sendfile(file, *args)


async def test_what_is_no_binary_file(content, ends):
    a, b = await ends()
    with a, b, content[0].open(encoding="latin-1") as text:
        for file in (text, "path", None, io.StringIO("text")):
            with pytest.raises(TypeError, match="opened in binary mode"):
                await a.sendfile(file)
