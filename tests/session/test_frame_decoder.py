"""The frames of both dialects, cut out of a stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import FrameError
from mtnet.session.grammar import MAX_GAP, FrameDecoder

MASTER = b"<<GBPUSD|-10.25>>\0<<GBPUSD|0.00>>\0>\0<<EURUSD|0.10>>\0"
"""What a classic publisher sends: its buffer never shrinks, so old bytes follow."""


def decode(*chunks: bytes) -> list[bytes]:
    decoder = FrameDecoder()
    return [payload for chunk in chunks for payload in decoder.feed(chunk)]


def test_a_classic_publishers_bytes_lose_nothing():
    assert decode(MASTER) == [b"GBPUSD|-10.25", b"GBPUSD|0.00", b"EURUSD|0.10"]


@pytest.mark.parametrize("at", range(len(MASTER) + 1))
def test_frames_are_the_same_at_every_split_point(at):
    assert decode(MASTER[:at], MASTER[at:]) == decode(MASTER)


def test_frames_are_the_same_byte_by_byte():
    assert decode(*(bytes([each]) for each in MASTER)) == decode(MASTER)


def test_a_frame_begins_behind_the_last_opening_mark_before_its_end():
    assert decode(b"<<A<<B|1>>") == [b"B|1"]
    assert decode(b"<<<A|1>>>") == [b"A|1"]
    assert decode(b">>x>><<A|1>>") == [b"A|1"]


def test_bytes_between_frames_are_counted():
    decoder = FrameDecoder()
    list(decoder.feed(b"\0\r\n<<A|1>>\0>\0<<A|2>>"))
    assert decoder.skipped == 6


def test_a_payload_over_the_limit_ends_the_stream_behind_what_was_whole():
    frames = FrameDecoder().feed(b"<<A|1>><<" + b"x" * 1_025 + b">>")
    assert next(frames) == b"A|1"
    with pytest.raises(FrameError, match="more than 1024 bytes"):
        next(frames)


def test_a_payload_at_the_limit_is_read():
    assert decode(b"<<" + b"x" * 1_024 + b">>") == [b"x" * 1_024]


@pytest.mark.parametrize(("size", "read"), [(8_192, True), (8_193, False)])
def test_a_client_that_was_welcomed_may_send_longer_frames(size, read):
    decoder = FrameDecoder()
    decoder.expect_session()
    frames = decoder.feed(b"<<" + b"x" * size + b">>")
    if read:
        assert list(frames) == [b"x" * size]
    else:
        with pytest.raises(FrameError, match="more than 8192 bytes"):
            next(frames)


@pytest.mark.parametrize("size", [1, 7, 65_536])
def test_a_mebibyte_without_a_frame_ends_the_stream_early(size):
    decoder, fed = FrameDecoder(), 0

    def flood():
        nonlocal fed
        while fed < 1_048_576:
            assert list(decoder.feed(b"<" * size)) == []
            fed += size

    with pytest.raises(FrameError, match="No whole frame in 4096 bytes"):
        flood()
    assert fed <= MAX_GAP


@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_the_gap_limit_does_not_depend_on_how_the_bytes_arrive(size):
    frame = b"<<A|1>>"
    for length, whole in ((MAX_GAP, True), (MAX_GAP + 1, False)):
        stream = frame + b"\0" * (length - len(frame)) + frame
        decoder, got = FrameDecoder(), []
        try:
            for at in range(0, len(stream), size):
                got += decoder.feed(stream[at : at + size])
        except FrameError:
            assert not whole
        assert got[:1] == [b"A|1"]
        assert (len(got) == 2) == whole


@given(st.lists(st.binary(max_size=60)), st.integers(1, 9))
def test_any_bytes_decode_alike_however_they_are_split(chunks, size):
    stream = b"".join(chunks)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert decode(*pieces) == decode(stream)
