"""Frames and positions, as bytes."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import WireError
from mtnet.session.classic import encode_position, parse_position
from mtnet.session.grammar import FrameDecoder


def decode(*chunks: bytes) -> list[bytes]:
    decoder = FrameDecoder()
    return [payload for chunk in chunks for payload in decoder.feed(chunk)]


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


@pytest.mark.parametrize("payload", [b"", b"GBPUSD", b"A|1|2", b"HELLO|v=2|name=x", b"||"])
def test_a_classic_frame_has_two_fields(payload):
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
