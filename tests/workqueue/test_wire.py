"""What a keeper and its peers say, cut anywhere."""

from __future__ import annotations

import pytest

from gopark.workqueue import _wire as wire


def test_frames_come_whole_however_the_stream_is_cut():
    said = [
        wire.send(1, b"payload", b""),
        wire.send(2, b"", "ü".encode()),
        wire.pull(7),
        wire.acks([3, 1 << 40]),
        wire.again(4, 9, 2, 0.5, True),
        wire.bury(5, 9, 2, "why"),
        wire.touch([(1, 2), (3, 4)]),
        wire.asking(wire.ASK, 6, b"{}"),
        wire.items([(5, 1, b"x" * 100), (6, 2, b""), (7, 1, b"y")]),
        wire.reply(6, 16, b"body"),
        wire.acked([1, 1 << 40], [7]),
        wire.frame(wire.END),
    ]
    data = b"".join(said)
    for step in (1, 2, 3, 7, 64, len(data)):
        frames = wire.Frames()
        came = [
            one for at in range(0, len(data), step) for one in frames.feed(data[at : at + step])
        ]
        assert [op for op, _ in came] == [
            wire.SEND, wire.SEND, wire.PULL, wire.ACKS, wire.AGAIN, wire.BURY, wire.TOUCH,
            wire.ASK, wire.ITEMS, wire.REPLY, wire.ACKED, wire.END,
        ]  # fmt: skip
        bodies = [body for _, body in came]
        assert wire.split_send(bodies[0]) == (1, b"payload", "")
        assert wire.split_send(bodies[1]) == (2, b"", "ü")
        assert wire.split_number(bodies[2]) == 7
        assert wire.split_acks(bodies[3]) == (3, 1 << 40)
        assert wire.split_again(bodies[4]) == (4, 9, 2, 0.5, True)
        assert wire.split_bury(bodies[5]) == (5, 9, 2, "why")
        assert list(wire.split_touch(bodies[6])) == [(1, 2), (3, 4)]
        assert wire.split_asking(bodies[7]) == (6, b"{}")
        assert list(wire.split_items(bodies[8])) == [(5, 1, b"x" * 100), (6, 2, b""), (7, 1, b"y")]
        assert wire.split_reply(bodies[9]) == (6, 16, b"body")
        assert wire.split_acked(bodies[10]) == ((1, 1 << 40), (7,))


def test_many_values_are_several_frames_and_a_large_one_is_one():
    values = [(n, 1, bytes(n * 1000)) for n in range(100)] + [(200, 1, bytes(1 << 20))]
    whole = list(wire.Frames().feed(wire.items(values)))
    assert 3 < len(whole) < 16
    assert all(len(body) < (1 << 20) + 5000 for _, body in whole)
    assert [one for _, body in whole for one in wire.split_items(body)] == values


@pytest.mark.parametrize("data", [b"\0\0\0\0\0", b"GET / HTTP/1.1\r\n"])
def test_what_is_no_frame_is_refused(data):
    with pytest.raises(ValueError, match="no gopark"):
        list(wire.Frames().feed(data))


def test_letters_are_a_page():
    letters = [(n, 3, f"why {n}", bytes(10)) for n in range(10)]
    page = list(wire.split_letters(wire.write_letters(iter(letters), 70)))
    assert page == letters[: len(page)]
    assert 0 < len(page) < 10
    assert len(list(wire.split_letters(wire.write_letters(iter(letters), 1)))) == 1
