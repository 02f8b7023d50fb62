"""Symbols, volumes, prices and texts, as every service reads them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.values import (
    MAX_SYMBOL,
    is_symbol,
    read_money,
    read_price,
    read_text,
    read_volume,
    write_text,
)


@pytest.mark.parametrize(
    "text",
    [
        "EURUSD",
        "@ES",
        "[NQ100]",
        "US30^",
        "BTC/USDT:USDT",
        "EURUSD.£",
        "Газпром",
        "UK 100",
        ".DE40",
        "-A",
        "A,B;C",
        "50%",
        "'A\"",
        "日経225",
        "£" * 32,
    ],
)
def test_symbols_as_brokers_have_them(text):
    assert is_symbol(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " A",
        "A ",
        "A|B",
        "A<B",
        "A>B",
        "A\0B",
        "A\tB",
        "A\x7f",
        "A\x85",
        "A\u00a0B",
        "A\u200b",
        "\ufeffA",
        "\ufffd",
        "A" * (MAX_SYMBOL + 1),
        "A" * 1_000_000,
    ],
)
def test_what_is_no_symbol(text):
    assert not is_symbol(text)


@pytest.mark.parametrize(
    "text", ["0.25", "-0.25", "0.250", "99999999.99999", "0", "00000001", "+1", "+0.1"]
)
def test_volumes_are_kept_exactly(text):
    assert read_volume(text).as_tuple() == Decimal(text).as_tuple()


def test_minus_zero_is_zero():
    assert str(read_volume("-0")) == str(read_volume("-0.000")) == "0"


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("0.30000000000000004", "0.3"),
        ("-0.7999999999999999", "-0.8"),
        ("0.12345000000000000123", "0.12345"),
        ("1.000000", "1"),
        ("0.00000000000000005551", "0"),
        ("-0.00000000000000005551", "0"),
    ],
)
def test_floating_point_noise_behind_a_volume_is_left_out(sent, meant):
    assert str(read_volume(sent)) == meant


NO_NUMBERS = ["", "nan", "inf", "1_0", "1,5", " 1", "1 ", "٣", "1.", ".5", "--1", "0x1", "1\n"]


@pytest.mark.parametrize(
    "text",
    [
        *NO_NUMBERS,
        "1e5",
        "123456789",
        "1.123456",
        "0.6333333333333334",
        "0.000010001",
        "1." + "0" * 21,
        "99999999.9999999999",
    ],
)
def test_what_is_no_volume(text):
    assert read_volume(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "1.09870",
        "-37.63",
        "0.0000012345",
        "1.5e+09",
        "9.3e-05",
        "9.3e-005",
        "1E5",
        "999999999999.9999999999",
        "0",
    ],
)
def test_prices_keep_their_digits(text):
    assert read_price(text) == text


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("512.0599999999999", "512.06"),
        ("1.10000000000000009", "1.1"),
        ("1.23456789012345e-07", "1.2345678901e-07"),
        ("-0.000000000001", "-0"),
    ],
)
def test_floating_point_noise_behind_a_price_is_left_out(sent, meant):
    assert read_price(sent) == meant


@pytest.mark.parametrize(
    "text",
    [
        *NO_NUMBERS,
        "+1",
        "1e",
        "1e1000",
        "1e999",
        "-1e999",
        "1" * 13,
        "999999999999.99999999999",
        "1.234567890123e+09",
        "1." + "0" * 21,
    ],
)
def test_what_is_no_price(text):
    assert read_price(text) is None


@given(st.floats(-1e6, 1e6).map(lambda lots: round(lots, 2)), st.integers(-4, 4))
def test_a_volume_that_arithmetic_has_blurred_is_the_one_that_was_meant(lots, steps):
    blurred = lots
    for _ in range(abs(steps)):
        blurred = blurred + 0.1 if steps > 0 else blurred - 0.1
    shown = f"{Decimal(repr(blurred)):f}"
    if len(shown.partition(".")[2]) <= 20:
        assert read_volume(shown) == round(Decimal(shown), 5)


@given(st.text("0123456789.eE+-", max_size=30))
def test_what_is_read_is_within_noise_of_what_was_sent_and_is_read_again_as_itself(text):
    volume, price = read_volume(text), read_price(text)
    if volume is not None:
        assert abs(volume - Decimal(text)) < Decimal("1e-9")
        assert read_volume(f"{volume:f}") == volume
    if price is not None:
        assert abs(Decimal(price) - Decimal(text)) < Decimal("1e-9")
        assert read_price(price) == price


def test_text_is_utf_8_else_of_the_code_page():
    assert read_text("Газпром".encode(), "cp1251") == "Газпром"
    assert read_text("Газпром".encode("cp1251"), "cp1251") == "Газпром"
    assert read_text(b"A\x81", "cp1252") == "A\ufffd"


def test_text_is_written_in_the_code_page_and_in_utf_8_what_that_lacks():
    assert write_text("EURUSD.£", "cp1252") == b"EURUSD.\xa3"
    assert write_text("Газпром", "cp1252") == "Газпром".encode()
    assert write_text("Газпром", "cp1251") == "Газпром".encode("cp1251")


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("10012.50", "10012.50"),
        ("-3", "-3"),
        ("+1", "1"),
        ("-0.00", "0"),
        ("0.00000001", "1E-8"),
        ("999999999999999.99999999", "999999999999999.99999999"),
        ("1000.10000000000002", "1000.1"),
        ("", None),
        ("1e5", None),
        ("1,5", None),
        ("1234567890123456", None),
        ("0.000000001", None),
        ("999999999999999.9999999999999", None),
    ],
)
def test_money_keeps_its_digits_or_is_refused(text, amount):
    assert str(read_money(text)) == str(amount)
