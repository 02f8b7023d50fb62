"""The bytes of the templates port."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import FrameError, TemplateError, WireError
from mtnet.services.templates.wire import (
    PERIODS,
    BodyDecoder,
    CommandDecoder,
    Fetch,
    Store,
    counted,
    parse_command,
    parse_period,
    parse_symbol,
    raw_prefix,
)

SYMBOLS = st.from_regex(r"[A-Za-z0-9#._/]{1,32}", fullmatch=True)
NAMES = st.sampled_from(sorted(PERIODS))


def decode(*parts, **limits):
    decoder = CommandDecoder(**limits)
    results = [decoder.feed(part) for part in parts]
    assert results[:-1] == [None] * (len(parts) - 1)
    return results[-1], decoder.rest


@pytest.mark.parametrize(
    ("name", "mt5", "mt4"),
    [("M1", 1, 1), ("M20", 20, 20), ("H1", 16385, 60), ("H4", 16388, 240), ("H12", 16396, 720),
     ("D1", 16408, 1440), ("W1", 32769, 10080), ("MN1", 49153, 43200)],
)  # fmt: skip
def test_a_period_has_the_codes_of_both_terminals(name, mt5, mt4):
    assert PERIODS[name] == (mt5, mt4)
    assert [parse_period(str(mt5)), parse_period(str(mt4)), parse_period(name.lower())] == [
        name
    ] * 3


def test_no_code_names_two_periods():
    codes = {}
    for name, pair in PERIODS.items():
        for code in pair:
            assert codes.setdefault(code, name) == name


@pytest.mark.parametrize("period", ["", "0", "7", "M7", "H24", "-60", "٦٠", "60 ", "1" * 100])
def test_what_is_no_period_is_refused(period):
    with pytest.raises(TemplateError, match="A period is") as caught:
        parse_period(period)
    assert caught.value.code == "period"


@pytest.mark.parametrize(
    "symbol", ["EURUSD", "EUR/USD", "#AAPL", "UK 100", "USDJPY.m", "Ä", "x" * 32]
)
def test_a_symbol_of_a_broker_is_taken(symbol):
    assert parse_symbol(symbol) == symbol


@pytest.mark.parametrize(
    "symbol", ["", "x" * 33, "A|B", "<A", "A>", "A\0", "A\n", " A", "A ", "\ufffd"]
)
def test_what_is_no_symbol_is_refused(symbol):
    with pytest.raises(TemplateError, match="A symbol has") as caught:
        parse_symbol(symbol)
    assert caught.value.code == "symbol"


def test_the_raw_prefix_is_two_fields_of_ten_bytes_padded_with_nul():
    assert raw_prefix("EURUSD", "H1", "mt5") == b"EURUSD\0\0\0\0" + b"16385\0\0\0\0\0"
    assert raw_prefix("EURUSD", "H1", "mt4") == b"EURUSD\0\0\0\0" + b"60\0\0\0\0\0\0\0\0"
    assert raw_prefix("LONGSYMBOL.m", "M1", "mt5")[:10] == b"LONGSYMBOL"


def test_the_raw_prefix_is_in_the_code_page_and_in_utf_8_where_that_lacks_a_character():
    assert raw_prefix("Gold€", "M1", "mt5")[:10] == b"Gold\x80\0\0\0\0\0"
    assert raw_prefix("Gold€語", "M1", "mt5")[:10] == "Gold€語".encode()
    assert raw_prefix("Золото", "M1", "mt5", "cp1251")[:10] == "Золото".encode("cp1251") + b"\0" * 4


def test_the_length_before_a_counted_answer_counts_the_prefix_too():
    assert counted(b"x" * 20, 300) == b"\x00\x00\x01\x40" + b"x" * 20


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"FETCH EURUSD H1", Fetch("EURUSD", "H1", None, False)),
        (b"FETCH EURUSD 16385 3", Fetch("EURUSD", "H1", 3, False)),
        (b"FETCHL EUR/USD 60", Fetch("EUR/USD", "H1", None, True)),
        (b"STORE EURUSD M5 1000", Store("EURUSD", "M5", 1000)),
        (b"STORE EURUSD M5 1000 me secret", Store("EURUSD", "M5", 1000, "me", "secret")),
        (b"FETCH \xc4 H1", Fetch("Ä", "H1", None, False)),
        ("FETCH Ä H1".encode(), Fetch("Ä", "H1", None, False)),
    ],
)
def test_a_command_is_read_however_its_bytes_are_cut(line, command):
    for ending in (b"\n", b"\r\n"):
        whole = line + ending
        for at in range(len(whole)):
            assert decode(whole[:at], whole[at:] + b"rest") == (command, b"rest")
        assert decode(*(whole[n : n + 1] for n in range(len(whole)))) == (command, b"")


@pytest.mark.parametrize(
    "line",
    [b"", b"FETCH", b"FETCH EURUSD", b"FETCH EURUSD H1 0", b"FETCH EURUSD H1 1 2", b"DELETE A H1",
     b"FETCH EURUSD H1 x", b"STORE EURUSD H1", b"STORE EURUSD H1 -1", b"STORE EURUSD H1 1 me",
     b"STORE EURUSD H1 99999999999", "FETCH EURUSD H1 ٣".encode()],
)  # fmt: skip
def test_a_command_with_other_words_than_it_takes_is_refused(line):
    with pytest.raises(WireError) as caught:
        parse_command(line)
    assert caught.value.code == "field"


def test_the_secret_of_a_login_is_neither_kept_nor_told():
    command = parse_command(b"STORE EURUSD M5 1000 me hush")
    assert "hush" not in repr(command)
    with pytest.raises(WireError) as caught:
        parse_command(b"STORE EURUSD M5 x me hush")
    assert "hush" not in str(caught.value)


def test_a_line_may_have_512_bytes_and_no_more():
    line = b"FETCH EURUSD H1".ljust(511)
    assert decode(line + b"\n")[0] == Fetch("EURUSD", "H1", None, False)
    for at in (1, 100, 511, 512):
        with pytest.raises(FrameError):
            decode((line + b" \n")[:at], (line + b" \n")[at:])
    with pytest.raises(FrameError):
        decode(b"F" * 20, max_line=20)


@pytest.mark.parametrize("nul", [b"", b"\0"])
def test_a_body_is_collected_however_it_is_cut_and_one_nul_before_it_is_skipped(nul):
    body = b"\xff\xfe<\0c\0\0\0"
    sent = nul + body + b"more"
    for at in range(len(sent)):
        decoder = BodyDecoder(len(body))
        assert body in [decoder.feed(sent[:at]), decoder.feed(sent[at:])]
        assert decoder.received == len(body)


@given(SYMBOLS, NAMES, st.none() | st.integers(1, 999_999_999), st.booleans())
def test_every_fetch_that_can_be_written_is_read_back(symbol, period, version, is_counted):
    words = [
        "FETCHL" if is_counted else "FETCH",
        symbol,
        period,
        *([str(version)] if version else []),
    ]
    assert parse_command(" ".join(words).encode()) == Fetch(symbol, period, version, is_counted)


@given(st.binary(max_size=600), st.integers(0, 600))
def test_no_bytes_break_the_decoder(data, at):
    decoder = CommandDecoder()
    try:
        for part in (data[:at], data[at:]):
            if decoder.feed(part) is not None:
                return
    except (WireError, TemplateError):
        pass
