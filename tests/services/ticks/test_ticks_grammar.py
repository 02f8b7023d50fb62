"""The edges of the text of ticks: every byte, every length, every way to cut it."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet import values
from mtnet.errors import WireError
from mtnet.services.ticks import wire
from mtnet.services.ticks.wire import (
    LineDecoder,
    encode_symbol,
    parse,
    parse_header,
    spaced_symbols_table,
    split,
)

LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
ALPHABET = LETTERS + b"""!"#$%&'()*+-./:=?@[\\]^_`{}~"""
FIELDS = ("bid", "ask", "last", "volume", "time", "flags")
WHOLE = (b"1.1", b"1.2", b"1.15", b"0.25", b"1549238400994", b"6")
COMMAND = re.compile(rb"[A-Z]{2,12}:( [^\n]*)?")


def line_with(name, value):
    """Return a record of seven fields, one of which is `value`."""
    values = [value if each == name else sent for each, sent in zip(FIELDS, WHOLE, strict=True)]
    return b" ".join([b"EURUSD", *values])


def outcome(read, *arguments):
    """Return what is read and None, or None and the code of the refusal."""
    try:
        return read(*arguments), None
    except WireError as error:
        return None, error.code


def is_symbol(name):
    return outcome(parse, name + b" 1.1", {}) == ((name, b"1.1"), None)


def is_header(line):
    return outcome(parse_header, line)[1] is None


# Symbols


def test_the_alphabet_of_a_symbol_has_these_bytes_and_no_other():
    taken = {byte for byte in range(128) if is_symbol(b"A%cB" % byte)}
    assert taken == set(ALPHABET)


def test_a_symbol_begins_with_any_of_them():
    taken = {byte for byte in range(128) if is_symbol(b"%cB" % byte)}
    assert taken == set(ALPHABET)


@pytest.mark.parametrize("size", [1, 2, 31, 32])
def test_a_symbol_has_up_to_32_bytes(size):
    assert parse(b"X" * size + b" 1.1", {}) == (b"X" * size, b"1.1")


@pytest.mark.parametrize("size", [33, 34, 64, 500])
def test_a_longer_symbol_is_refused_with_a_sentence(size):
    with pytest.raises(WireError, match="A symbol has 1 to 32"):
        parse(b"X" * size + b" 1.1", {})
    assert split(b"X" * size + b" 1.1\n") is None


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=34))
def test_a_symbol_that_is_one_is_spelt_and_read_back(symbol):
    name, code = outcome(encode_symbol, symbol)
    if name is None:
        assert code == "symbol"
        assert "%" in symbol or not values.is_symbol(symbol)
    else:
        assert is_symbol(name)
        assert encode_symbol(name.decode()) == name
        assert "%" in symbol or unquote(name.decode()) == symbol


# Fields


@pytest.mark.parametrize("name", ["bid", "ask", "last"])
@pytest.mark.parametrize(
    "price",
    [b"0", b"-0", b"38000", b"999999999999", b"999999999999.99999999", b"-0.00000001", b"1e5",
     b"1E-05", b"-1.5e99", b"0001.1000", b"-"],
)  # fmt: skip
def test_a_price_is_kept_digit_by_digit(name, price):
    line = line_with(name, price)
    assert parse(line, {}) == (b"EURUSD", line.partition(b" ")[2])
    assert split(line + b"\n") == [parse(line, {})]


@pytest.mark.parametrize("name", ["bid", "ask", "last"])
@pytest.mark.parametrize(
    "price",
    [b"nan", b"NaN", b"-nan", b"inf", b"-inf", b"Infinity", b"1_000.5", b"1'000.5", b"1e999",
     b"1e", b"e5", b"1e5.0", b"+1.1", b"--1", b"1-", b".5", b"1.", b".", b"1.2.3", b"0x10", b"1f",
     b"1234567890123", b"1." + b"1" * 21, b"1\r", b"1\0", b"1\x0b2", b"1\xa0", b"1%",
     b"1549238400994", "١".encode(), "１.1".encode(), "1.１".encode(), "−1".encode(), b"@1", b"1:"],
)  # fmt: skip
def test_what_is_no_price_is_refused_with_the_name_of_its_field(name, price):
    line = line_with(name, price)
    with pytest.raises(WireError, match=f"{name.upper()} is a price") as caught:
        parse(line, {})
    assert caught.value.code == "tick"
    assert split(line + b"\n") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("volume", b"0"),
        ("volume", b"123456789012.12345678"),
        ("volume", b"1e-05"),
        ("volume", b"-"),
        ("time", b"100000000000"),
        ("time", b"1549238400994"),
        ("time", b"99999999999999"),
        ("time", b"-"),
        ("flags", b"0"),
        ("flags", b"4294967295"),
        ("flags", b"-"),
    ],
)
def test_the_fields_behind_the_prices_are_kept_digit_by_digit(name, value):
    line = line_with(name, value)
    assert parse(line, {}) == (b"EURUSD", line.partition(b" ")[2])
    assert split(line + b"\n") == [parse(line, {})]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("volume", b"-1", "without a sign"),
        ("volume", b"-0", "without a sign"),
        ("volume", b"+1", "without a sign"),
        ("volume", b"nan", "VOLUME is a volume"),
        ("volume", b"1e999", "VOLUME is a volume"),
        ("volume", b"1_0", "VOLUME is a volume"),
        ("volume", "٣".encode(), "VOLUME is a volume"),
        ("time", b"0", "TIME is milliseconds"),
        ("time", b"15492384009", "TIME is milliseconds"),
        ("time", b"154923840099412", "TIME is milliseconds"),
        ("time", b"-1549238400994", "TIME is milliseconds"),
        ("time", b"1549238400.994", "TIME is milliseconds"),
        ("time", b"1549238400e3", "TIME is milliseconds"),
        ("time", "١٥٤٩٢٣٨٤٠٠٩٩٤".encode(), "TIME is milliseconds"),
        ("flags", b"-1", "FLAGS is the number"),
        ("flags", b"1.0", "FLAGS is the number"),
        ("flags", b"0x2", "FLAGS is the number"),
        ("flags", b"12345678901", "FLAGS is the number"),
        ("flags", "٦".encode(), "FLAGS is the number"),
        ("flags", b"6 7", "at most 7 fields"),
        ("flags", b"6 -", "at most 7 fields"),
        ("flags", b"- -", "at most 7 fields"),
    ],
)
def test_what_no_field_behind_the_prices_can_be_is_refused_with_a_sentence(name, value, words):
    line = line_with(name, value)
    with pytest.raises(WireError, match=words) as caught:
        parse(line, {})
    assert caught.value.code == "tick"
    assert split(line + b"\n") is None


@pytest.mark.parametrize(
    "line",
    [b"A", b"A;", b"A,", b"A -", b"A - -", b"A - - -", b"A\t-\t-\t-", b"A;;;", b"A,,,", b"A;-;;-",
     b"A;;;;5", b"A,,,,5,1549238400994,6", b"A - - - 5 1549238400994 6", b"A;;;;;;"],
)  # fmt: skip
def test_a_tick_without_any_price_is_refused(line):
    with pytest.raises(WireError, match="Of BID, ASK and LAST one is needed"):
        parse(line, {})
    assert split(line + b"\n") is None


@pytest.mark.parametrize("empty", [b"A;1;;;;;;", b"A,1,,,,,,", b"A;1;2;3;4;1549238400994;6;"])
def test_an_eighth_field_is_refused_although_it_is_empty(empty):
    with pytest.raises(WireError, match="at most 7 fields"):
        parse(empty, {})


def test_seven_fields_are_taken_although_five_are_empty():
    assert parse(b"A;1;;;;;", {}) == (b"A", b"1 - - - - -")


# Separators


def test_a_decimal_comma_is_refused_with_a_sentence():
    with pytest.raises(WireError, match="A price has a decimal point") as caught:
        parse(b"EURUSD 1,09876", {})
    assert caught.value.offending == b"EURUSD 1,09876"


@pytest.mark.parametrize(
    "line",
    [b"EURUSD 1.1,1.2", b"EURUSD 1.1;1.2", b"EURUSD;1.1 1.2", b"EURUSD,1.1 1.2", b"EURUSD;1.1,1.2",
     b"EURUSD,1.1;1.2", b"EURUSD\t1.1;1.2", b"EURUSD;1.1\t1.2", b"EURUSD; 1.1", b"EURUSD , 1.1"],
)  # fmt: skip
def test_a_record_with_two_kinds_of_separators_is_refused(line):
    with pytest.raises(WireError) as caught:
        parse(line, {})
    assert caught.value.code == "tick"
    assert split(line + b"\n") is None


@pytest.mark.parametrize("gap", [b"\t\t", b"\t\t\t", b"\t \t", b"   ", b" \t"])
def test_no_empty_field_lies_within_a_run_of_blanks_and_tabs(gap):
    assert parse(b"EURUSD" + gap + b"1.1" + gap + b"1.2", {}) == (b"EURUSD", b"1.1 1.2")


@pytest.mark.parametrize("tabs", [1, 2, 3, 4])
def test_a_time_behind_empty_fields_between_tabs_passes_as_no_price(tabs):
    with pytest.raises(WireError, match="is a"):
        parse(b"EURUSD\t1.1" + b"\t" * tabs + b"1549238400994", {})


@pytest.mark.parametrize("separator", [b";", b","])
def test_a_time_behind_empty_fields_between_semicolons_or_commas_is_one(separator):
    line = separator.join([b"EURUSD", b"1.1", b"", b"", b"", b"1549238400994", b""])
    symbol, rest = parse(line, {})
    assert (symbol, rest) == (b"EURUSD", b"1.1 - - - 1549238400994 -")
    assert wire.time_of(rest) == 1549238400994


# Everything that is not a record by construction

TEXT = st.lists(
    st.sampled_from(
        [b"A", b"EURUSD", b"UK 100", b"-", b".", b"1", b"1.5", b"9" * 13, b" ", b"  ", b"\t", b";",
         b",", b"@@", b":", b"%20", b"e-5", b"\r", b"\xff", b"1549238400994"]
    ),
    max_size=16,
).map(b"".join)  # fmt: skip


@given(TEXT | st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")))
def test_what_is_read_is_canonical_and_all_else_is_refused_as_a_tick(line):
    record, code = outcome(parse, line, {})
    if record is None:
        assert code == "tick"
        assert split(line + b"\n") is None
    else:
        symbol, rest = record
        assert parse(b"%b %b" % (symbol, rest), {}) == (symbol, rest)
        assert split(b"%b %b\n" % (symbol, rest)) in ([(symbol, rest)], None)
        assert len(wire.pad(rest)) == len(FIELDS)


def test_an_error_quotes_at_most_80_bytes():
    with pytest.raises(WireError) as caught:
        parse(b"x" * 500, {})
    assert "x" * 80 in str(caught.value)
    assert "x" * 81 not in str(caught.value)


# Symbols with blanks

SPACED = st.from_regex(r"\A[A-Z]{1,4} [A-Z0-9]{1,4}\Z")


@given(SPACED, st.sampled_from([b" ", b"  ", b"\t", b";", b","]))
def test_a_symbol_with_a_blank_is_read_before_every_separator(symbol, separator):
    line = separator.join([symbol.encode(), b"7500.1", b"7500.3"])
    assert parse(line, spaced_symbols_table([symbol])) == (encode_symbol(symbol), b"7500.1 7500.3")
    assert split(line + b"\n", spaced_symbols_table([symbol])) is None


def test_without_being_named_a_symbol_with_a_blank_is_a_symbol_and_a_bid():
    assert parse(b"UK 100 7500.1", {}) == (b"UK", b"100 7500.1")
    assert split(b"UK 100 7500.1\n") == [(b"UK", b"100 7500.1")]


def test_a_named_symbol_does_not_end_within_a_price():
    spaced = spaced_symbols_table(["UK 100"])
    assert parse(b"UK 1005 7500.1", spaced) == (b"UK", b"1005 7500.1")
    assert parse(b"UK 100.5", spaced) == (b"UK", b"100.5")


def test_a_named_symbol_is_not_found_behind_another():
    assert parse(b"EUUK 100 7500.1", spaced_symbols_table(["UK 100"])) == (b"EUUK", b"100 7500.1")


def test_a_named_symbol_needs_a_price_of_its_own():
    with pytest.raises(WireError, match="one is needed"):
        parse(b"UK 100 -", spaced_symbols_table(["UK 100"]))


# Headers


def test_the_alphabet_of_a_source_has_these_bytes_and_no_other():
    taken = {byte for byte in range(256) if is_header(b"@@a%cb 1" % byte)}
    assert taken == set(LETTERS + b"._-")
    assert taken == {byte for byte in range(128) if wire.is_source(f"a{chr(byte)}b")}


@pytest.mark.parametrize("name", ["", "x" * 33, "desk\n", "dé", "de sk", "@desk", "٣"])
def test_what_no_source_is_called_names_none(name):
    assert not wire.is_source(name)
    assert not is_header(f"@@{name} 1".encode())


@given(
    st.from_regex(r"\A[A-Za-z0-9._-]{1,32}\Z"),
    st.integers(0, 2**63 - 1),
    st.binary(max_size=40).map(lambda data: data.hex().encode()),
)
def test_every_header_that_can_be_written_is_read_back(source, number, mac):
    line = b"@@%b %d %b" % (source.encode(), number, mac)
    assert parse_header(line) == (source, number, mac)
    assert wire.is_source(source)


@pytest.mark.parametrize(
    "number",
    [b"9223372036854775808", b"9999999999999999999", b"18446744073709551616", b"1.0", b"1e3",
     b"1_0", b"+1", b"-0", b"0x1", "٣".encode(), b"", b"nan", b"1\n", b"1\0"],
)  # fmt: skip
def test_what_numbers_no_batch_is_refused_with_a_sentence(number):
    with pytest.raises(WireError, match="A header is @@SOURCE SEQ") as caught:
        parse_header(b"@@desk " + number)
    assert caught.value.code == "header"


@pytest.mark.parametrize("line", [b"@@desk 1", b"@@EURUSD 1.09876", b"@@ 1", b"@@", b"@@x:1 2"])
def test_what_begins_with_two_at_signs_is_never_a_tick(line):
    assert list(wire.sections(line + b"\n")) == [(b"", line), (b"", b"")]
    with pytest.raises(WireError):
        parse(line, {})
    assert split(line + b"\n") is None


# Commands


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"PING:", ("PING", [])),
        (b"PING: ", ("PING", [])),
        (b"AB: c", ("AB", [b"c"])),
        (b"ABCDEFGHIJKL:", ("ABCDEFGHIJKL", [])),
        (b"LOGIN: a b", ("LOGIN", [b"a", b"b"])),
        (b"SUBSCRIBE: *", ("SUBSCRIBE", [b"*"])),
        (b"SYNC: a: b", ("SYNC", [b"a:", b"b"])),
    ],
)
def test_a_command_is_cut_out_and_read(line, command):
    assert list(wire.sections(b"A 1\n" + line + b"\nB 2\n")) == [(b"A 1\n", line), (b"B 2\n", b"")]
    assert wire.parse_command(line) == command


@pytest.mark.parametrize(
    "line",
    [b"EURUSD 1.1", b"ping:", b"Ping:", b"P:", b"ABCDEFGHIJKLM:", b"PING", b"PING :", b"PING:x",
     b" PING:", b"PING1:", b"PING:\tx", b"PING;", b":", b": PING", b"<<PING:", "ÄÖ:".encode()],
)  # fmt: skip
def test_what_looks_like_a_command_and_is_none_is_left_among_the_records(line):
    assert list(wire.sections(line + b"\n")) == [(line + b"\n", b"")]


LINES = st.lists(
    st.one_of(
        TEXT,
        st.from_regex(rb"\A[A-Za-z]{1,13}:?[ a]?[ -~]{0,9}\Z"),
        st.sampled_from([b"PING:", b"SYNC: 1", b"@@desk 7", b"@@", b"EURUSD 1.1", b""]),
    )
)


@given(LINES)
def test_text_is_cut_at_headers_and_commands_and_nowhere_else(lines):
    found, expected = [], []
    for records, special in wire.sections(b"".join(line + b"\n" for line in lines)):
        found += [(line, False) for line in records.split(b"\n")[:-1]]
        found += [(special, True)] if special else []
    for line in lines:
        expected.append((line, line.startswith(b"@@") or COMMAND.fullmatch(line) is not None))
    assert found == expected


@given(st.from_regex(rb"\A[A-Z]{2,12}:( [ -~]{0,20})?\Z"))
def test_no_command_can_be_read_as_a_tick(line):
    with pytest.raises(WireError):
        parse(line, {})
    assert split(line + b"\n") is None


# Datagrams

OLD = b"EURUSD 1.09876\0 1.09876\0SD 1.09876\0"
"""A classic client never empties its buffer."""


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_datagram_says_what_stands_before_its_first_nul(said, behind):
    said = said.replace(b"\0", b"")
    assert wire.payload(said + b"\0" + behind) == said
    assert wire.payload(said) == said


def test_an_old_buffer_behind_the_nul_is_no_tick():
    assert wire.lines(wire.payload(b"GBP 1.3\0" + OLD) + b"\n") == b"GBP 1.3\n"


def test_a_datagram_of_8191_bytes_is_taken_with_all_of_them():
    text = b"EURUSD 1.09876\n" * 546
    assert wire.payload(text + b"\n") == text + b"\n"
    assert len(text + b"\n") == 8_191


@pytest.mark.parametrize("size", [8_192, 8_193, 20_000])
@pytest.mark.parametrize("head", [b"", b"EURUSD 1.1\0", b"EURUSD 1.1\n"])
def test_a_longer_datagram_is_refused_whole_wherever_its_nul_stands(head, size):
    with pytest.raises(WireError, match="at most 8191 bytes") as caught:
        wire.payload(head.ljust(size, b"x"))
    assert caught.value.code == "size"


@given(st.lists(st.sampled_from([b"A 1", b"\n", b"\r\n", b"\r", b" "])).map(b"".join))
def test_of_the_lines_of_a_datagram_only_the_empty_ones_are_left_out(text):
    whole = (text + b"\n").replace(b"\r\n", b"\n").split(b"\n")
    assert wire.lines(text + b"\n") == b"".join(line + b"\n" for line in whole if line)


# Streams


def cut(stream, sizes):
    """Cut bytes into pieces of these sizes, again and again."""
    at, turn = 0, 0
    while at < len(stream):
        yield stream[at : at + sizes[turn % len(sizes)]]
        at, turn = at + sizes[turn % len(sizes)], turn + 1


def decode(pieces):
    decoder, lines = LineDecoder(), b""
    for piece in pieces:
        lines += decoder.feed(piece)
        if decoder.overlong:
            return lines, None
    return lines, decoder.rest


STREAMS = st.lists(
    st.sampled_from(
        [b"A 1", b"EURUSD 1.09876", b"@@me 7", b"PING:", b"\n", b"\r\n", b"\0", b"\r", b"\r\0",
         b"x" * 100, b"x" * 511, b"x" * 512, b"x" * 513]
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


@given(STREAMS, st.lists(st.integers(1, 300), min_size=1, max_size=6))
def test_a_stream_means_the_same_in_whatever_pieces_it_comes(stream, sizes):
    assert decode(cut(stream, sizes)) == decode([stream])


@given(STREAMS)
def test_a_stream_means_the_same_byte_by_byte(stream):
    assert decode(cut(stream, [1])) == decode([stream])


@given(STREAMS)
def test_a_stream_is_read_up_to_its_first_line_over_512_bytes(stream):
    *whole, tail = stream.replace(b"\0", b"\n").replace(b"\r\n", b"\n").split(b"\n")
    long = next((at for at, line in enumerate(whole) if len(line) > 512), None)
    expected = b"".join(line + b"\n" for line in whole[:long] if line)
    ends = long is not None or len(tail) > 513
    assert decode([stream]) == (expected, None if ends else tail)


MIXED = b"A 1\0\0B 2\r\n\r\nC 3\n\0\r\nD 4\r\0E 5\n\n"


@pytest.mark.parametrize("first", range(0, len(MIXED), 3))
@pytest.mark.parametrize("second", range(0, len(MIXED), 3))
def test_separators_may_be_mixed_and_cut_at_two_points(first, second):
    low, high = sorted((first, second))
    pieces = [MIXED[:low], MIXED[low:high], MIXED[high:]]
    assert decode(pieces) == (b"A 1\nB 2\nC 3\nD 4\nE 5\n", b"")


# Out


@given(
    st.lists(st.sampled_from([b"1.10", b"-"]), min_size=1, max_size=3),
    st.integers(0, 2**53),
    st.integers(0, 10**6),
)
def test_a_told_tick_has_all_fields_and_ends_in_what_was_skipped(values, received, skipped):
    line = wire.encode_tick(b"EURUSD", b" ".join(values), received, skipped)
    verb, symbol, *got = line.removesuffix(b"\r\n").split(b" ")
    assert (verb, symbol) == (b"TICK:", b"EURUSD")
    assert got[:6] == values + [b"-"] * (6 - len(values))
    assert got[6:] == [b"%d" % received] + ([b"~%d" % skipped] if skipped else [])
    assert line.endswith(b"\r\n")
