"""pprof's format: what is written, byte by byte, and as the real `go tool pprof` reads it."""

from __future__ import annotations

import gzip

import pytest

from gopark.pprof._proto import Builder, Message, addressof
from gotool import pprof


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (1, b"\x08\x01"),
        (127, b"\x08\x7f"),
        (128, b"\x08\x80\x01"),
        (300, b"\x08\xac\x02"),
        (1 << 63, b"\x08" + b"\x80" * 9 + b"\x01"),
        (-1, b"\x08" + b"\xff" * 9 + b"\x01"),
        (0, b""),
    ],
)
def test_a_number_is_seven_bits_a_byte(value, encoded):
    message = Message()
    message.number(1, value)
    assert bytes(message.data) == encoded


def test_packed_numbers_keep_their_zeros_and_strings_their_length():
    message = Message()
    message.numbers(2, [0, 300])
    message.blob(16, "ä".encode())
    assert bytes(message.data) == b"\x12\x03\x00\xac\x02" + b"\x82\x01\x02\xc3\xa4"


def test_a_frame_has_one_address_and_no_other_frame_has_it():
    here, there, other = ("f", "a.py", 1), ("f", "a.py", 2), ("f", "b.py", 1)
    assert addressof(here) == addressof(("f", "a.py", 1))
    assert addressof(there) - addressof(here) == 1
    assert len({addressof(frame) for frame in (here, there, other)}) == 3


def test_equal_profiles_are_equal_bytes_but_for_the_time():
    def make() -> bytes:
        builder = Builder([("goroutine", "count")], ("goroutine", "count"), 1)
        builder.sample((1,), [("f", "a.py", 1)], (("k", "v"),))
        return builder.finish(began=1)

    assert make() == make()


def test_go_reads_samples_labels_locations_and_period(tmp_path):
    builder = Builder([("samples", "count"), ("cpu", "nanoseconds")], ("cpu", "nanoseconds"), 10**7)
    deep = [(f"main.f{i}", "/x/prog.py", i + 1) for i in range(300)]
    builder.sample((2, 20_000_000), deep, (("key", 'va"lue'), ("schlüssel", "wört")))
    builder.sample((0, 5), [("main.g", "/x/ö.py", 70_000)])
    file = tmp_path / "made.pb.gz"
    file.write_bytes(builder.finish(began=1_700_000_000_000_000_000, lasted=2_000_000_000))
    raw = pprof("-raw", file)
    assert "PeriodType: cpu nanoseconds\nPeriod: 10000000\n" in raw
    assert "Time: 2023-11-14 22:13:20 +0000 UTC\nDuration: 2s\n" in raw
    assert "samples/count cpu/nanoseconds\n          2   20000000: 1 2 3 " in raw
    assert 'key:[va"lue] schlüssel:[wört]' in raw
    assert "          0          5: 301 \n" in raw
    assert " main.f299 /x/prog.py:300:0 " in raw
    assert " main.g /x/ö.py:70000:0 " in raw


def test_the_protobuf_library_reads_it():
    """Its generic parser: no schema is needed to see that all is well formed."""
    unknown = pytest.importorskip("google.protobuf.unknown_fields", reason="no protobuf")
    empty = pytest.importorskip("google.protobuf.empty_pb2")
    builder = Builder([("goroutine", "count")], ("goroutine", "count"), 1)
    builder.sample((1,), [("f", "a.py", 1)], (("k", "v"),))
    message = empty.Empty()
    message.ParseFromString(gzip.decompress(builder.finish()))
    numbers = {field.field_number for field in unknown.UnknownFieldSet(message)}
    assert numbers == {1, 2, 3, 4, 5, 6, 9, 11, 12}
