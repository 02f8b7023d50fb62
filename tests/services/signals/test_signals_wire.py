"""Frames and positions, as bytes."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import FrameError, WireError
from mtnet.services.signals.classic.wire import (
    MAX_GAP,
    FrameDecoder,
    encode_position,
    parse_position,
    parse_symbol,
    parse_volume,
)

MASTER = b"<<GBPUSD|-10.25>>\0<<GBPUSD|0.00>>\0>\0<<EURUSD|0.10>>\0"
"""What a published publisher sends: its buffer never shrinks, so old bytes follow."""


def decode(*chunks: bytes) -> list[bytes]:
    decoder = FrameDecoder()
    return [payload for chunk in chunks for payload in decoder.feed(chunk)]


def test_a_published_publishers_bytes_lose_nothing():
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


SYMBOLS = st.text(
    st.characters(codec="ascii", exclude_categories=("Cc",), exclude_characters="|<>"),
    min_size=1,
    max_size=32,
).filter(lambda text: text == text.strip())


@given(SYMBOLS, st.decimals(-99_999_999, 99_999_999, places=2))
def test_what_the_server_writes_reads_back_as_the_same_position(symbol, volume):
    frame = encode_position(symbol, volume)
    assert b"\0" not in frame
    assert frame.endswith(b">>\r\n")
    assert [parse_position(payload) for payload in decode(frame)] == [(symbol, volume)]


@pytest.mark.parametrize(
    ("symbol", "codepage", "data"),
    [
        ("EURUSD.£", "cp1252", b"EURUSD.\xa3"),
        ("Газпром", "cp1251", "Газпром".encode("cp1251")),
        ("Газпром", "cp1252", "Газпром".encode()),
        ("ポンド", "cp932", "ポンド".encode("cp932")),
    ],
)
def test_a_symbol_is_written_in_the_code_page_and_read_back(symbol, codepage, data):
    frame = encode_position(symbol, Decimal(1), codepage)
    assert frame == b"<<" + data + b"|1.00>>\r\n"
    assert [parse_position(payload, codepage) for payload in decode(frame)] == [(symbol, 1)]


def test_one_frame_is_made_for_all_followers():
    assert encode_position("A", Decimal(1)) is encode_position("A", Decimal("1.000"))


@pytest.mark.parametrize(
    ("volume", "shown"),
    [("0.005", "0.01"), ("-0.005", "-0.01"), ("0.004", "0.00"), ("-0.004", "0.00"), ("1", "1.00")],
)
def test_volumes_are_rounded_half_away_from_zero_and_never_minus_zero(volume, shown):
    assert encode_position("EURUSD", Decimal(volume)) == f"<<EURUSD|{shown}>>\r\n".encode()


def test_volumes_and_symbols_are_those_of_every_service():
    assert parse_position(b"@ES|0.30000000000000004") == ("@ES", Decimal("0.3"))


@pytest.mark.parametrize("text", ["", "nan", "1,5", "0.6333333333333334"])
def test_what_is_no_volume_is_refused(text):
    with pytest.raises(WireError, match="A volume is lots") as caught:
        parse_volume(text)
    assert caught.value.code == "volume"


@pytest.mark.parametrize("text", ["", "A" * 33, " A", "A\0B"])
def test_what_is_no_symbol_is_refused(text):
    with pytest.raises(WireError, match="A symbol has 1 to 32 printable") as caught:
        parse_symbol(text)
    assert caught.value.code == "symbol"


@pytest.mark.parametrize("payload", [b"", b"GBPUSD", b"A|1|2", b"HELLO|v=2|name=x", b"||"])
def test_a_published_frame_has_two_fields(payload):
    with pytest.raises(WireError, match="two fields"):
        parse_position(payload)


def test_text_that_is_not_utf_8_is_read_in_the_code_page():
    assert parse_position("DAX€|1".encode("cp1252"))[0] == "DAX€"
    assert parse_position("ЗОЛОТО|1".encode("cp1251"), "cp1251")[0] == "ЗОЛОТО"


def test_a_character_of_a_code_page_may_hold_a_bar():
    assert b"|" in "ポ".encode("cp932")
    assert parse_position("ポンド|1".encode("cp932"), "cp932") == ("ポンド", 1)


def test_bytes_that_the_code_page_does_not_know_are_refused():
    with pytest.raises(WireError, match="symbol"):
        parse_position(b"A\x81|1")


def test_an_error_quotes_at_most_80_bytes():
    with pytest.raises(WireError) as caught:
        parse_position(b"x" * 1_000)
    assert b"x" * 80 in str(caught.value).encode()
    assert b"x" * 81 not in str(caught.value).encode()
