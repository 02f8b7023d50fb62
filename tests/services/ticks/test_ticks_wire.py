"""The text of ticks, in both directions."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import WireError
from mtnet.services.ticks import wire
from mtnet.services.ticks.wire import LineDecoder, encode_symbol, parse, spaced_symbols_table, split

UK = {b"UK 100": b"UK%20100"}

NO_NAME = re.compile(rb"@@|\*$|[A-Z]{2,12}:$")
SYMBOLS = st.from_regex(rb"\A[!-$&-+\--:=?-{}~]{1,32}\Z").filter(lambda s: not NO_NAME.match(s))
UNSIGNED = st.from_regex(rb"\A[0-9]{1,12}(\.[0-9]{1,10})?([eE][+-]?[0-9]{1,2})?\Z")
PRICES = st.builds(bytes.__add__, st.sampled_from([b"", b"-"]), UNSIGNED)
TIMES, FLAGS = st.from_regex(rb"\A[0-9]{12,14}\Z"), st.from_regex(rb"\A[0-9]{1,10}\Z")
ABSENT = st.just(b"-")


@st.composite
def fields(draw):
    """Draw one to six fields, among the first three of which there is a price."""
    kinds = [PRICES, PRICES, PRICES, UNSIGNED, TIMES, FLAGS][: draw(st.integers(1, 6))]
    values = [draw(st.one_of(kind, ABSENT)) for kind in kinds]
    if set(values[:3]) <= {b"-"}:
        values[draw(st.integers(0, min(2, len(values) - 1)))] = draw(PRICES)
    return values


RECORDS = st.tuples(SYMBOLS, fields().map(b" ".join))


@given(RECORDS, st.sampled_from([b" ", b"\t", b"  ", b" \t "]))
def test_blanks_and_tabs_separate_fields_a_run_of_them_once(record, separator):
    symbol, rest = record
    line = separator.join([symbol, *rest.split(b" ")])
    assert parse(line, {}) == record
    assert parse(b" " + line + b"\t", {}) == record


@given(RECORDS, st.sampled_from([b";", b","]), st.booleans())
def test_semicolons_and_commas_separate_one_field_each_and_an_empty_one_is_absent(
    record, separator, empty
):
    symbol, rest = record
    values = [b"" if empty and value == b"-" else value for value in rest.split(b" ")]
    line = separator.join([symbol, *values])
    assert parse(line, {}) == record


@given(st.lists(RECORDS))
def test_canonical_records_are_split_as_they_are(records):
    text = b"".join(b"%b %b\n" % record for record in records)
    assert split(text) == records


JUNK = st.lists(
    st.one_of(
        RECORDS.map(b" ".join),
        st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"")),
        st.from_regex(rb"\A[A-Z-]{1,4}[ ,;\t][0-9.\-eE ]{0,20}\Z"),
    )
)


@given(JUNK)
def test_what_is_split_at_once_is_what_is_parsed_one_by_one(lines):
    found = split(b"".join(line + b"\n" for line in lines))
    if found is not None:
        assert found == [parse(line, {}) for line in lines]


@given(JUNK)
def test_text_is_split_at_once_only_when_every_line_is_canonical(lines):
    if split(b"".join(line + b"\n" for line in lines)) is not None:
        assert [b"%b %b" % parse(line, {}) for line in lines] == lines


def test_digits_are_kept():
    assert parse(b"EURUSD 1.09870 001.10", {}) == (b"EURUSD", b"1.09870 001.10")


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (b"EURUSD 1.09876", (b"EURUSD", b"1.09876")),
        (b"#JP225 38000", (b"#JP225", b"38000")),
        (b"EURUSD - 1.1", (b"EURUSD", b"- 1.1")),
        (b"EURUSD - - 1e-05", (b"EURUSD", b"- - 1e-05")),
        (b"EURUSD;;;7", (b"EURUSD", b"- - 7")),
        (b"UK 100 7500.1", (b"UK", b"100 7500.1")),
        (b"$5% -0.5", (b"$5%", b"-0.5")),
    ],
)
def test_a_tick_is_read(line, record):
    assert parse(line, {}) == record


@pytest.mark.parametrize("line", [b"UK 100 7500.1", b"UK 100;7500.1", b"UK 100,7500.1"])
def test_a_symbol_with_a_blank_is_known_when_it_is_named(line):
    assert parse(line, UK) == (b"UK%20100", b"7500.1")


def test_text_with_a_symbol_with_a_blank_is_not_split_at_once():
    assert split(b"EURUSD 1.1\nUK 100 7500.1\n", UK) is None
    assert split(b"EURUSD 1.1\n", UK) == [(b"EURUSD", b"1.1")]


def test_of_two_symbols_with_blanks_the_longer_is_found():
    spaced = spaced_symbols_table(["UK 100", "UK 100 X"])
    assert parse(b"UK 100 X 1.5", spaced) == (b"UK%20100%20X", b"1.5")
    assert parse(b"UK 100 1.5", spaced) == (b"UK%20100", b"1.5")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"EURUSD 1,09876", "decimal point"),
        (b"EURUSD;1,09876", "BID is a price"),
        (b"EURUSD 1.1;1.2", "decimal point"),
        (b"EURUSD", "BID, ASK and LAST"),
        (b"EURUSD - - -", "BID, ASK and LAST"),
        (b"EURUSD - - - 5", "BID, ASK and LAST"),
        (b"EURUSD 1 2 3 4 123456789012 6 7", "at most 7 fields"),
        (b"EURUSD nan", "BID is a price"),
        (b"EURUSD inf", "BID is a price"),
        (b"EURUSD 1_000.5", "BID is a price"),
        (b"EURUSD 1e999", "BID is a price"),
        (b"EURUSD +1.1", "BID is a price"),
        (b"EURUSD .5", "BID is a price"),
        (b"EURUSD 1.", "BID is a price"),
        (b"EURUSD 1234567890123", "BID is a price"),
        (b"EURUSD 1.123456789012345678901", "BID is a price"),
        ("EURUSD ١".encode(), "BID is a price"),
        (b"EURUSD 1.1 x", "ASK is a price"),
        (b"EURUSD 1.1 1.2 1549238400994", "LAST is a price"),
        (b"EURUSD\t1.1\t\t\t\t1549238400994\t6", "ASK is a price"),
        (b"EURUSD 1.1 1.2 - -5", "VOLUME is a volume"),
        (b"EURUSD 1.1 1.2 - 5 12345678901", "TIME is milliseconds"),
        (b"EURUSD 1.1 1.2 - 5 123456789012345", "TIME is milliseconds"),
        (b"EURUSD 1.1 1.2 - 5 - x", "FLAGS is the number"),
        (b"", "A symbol has"),
        (b" ", "A symbol has"),
        (b"@@ES 4500", "begins a header"),
        (b"EURUSD: 1", "a command"),
        (b"EUR|USD 1", "A symbol has"),
        (b"<EURUSD> 1", "A symbol has"),
        (b"%20EURUSD 1", "A symbol has"),
        (b"EUR%00USD 1", "A symbol has"),
        (b"EUR%7CUSD 1", "A symbol has"),
        (b"\x81 1", "A symbol has"),
        (b"GBP\x0b1.1", "A symbol has"),
        (b"X" * 33 + b" 1", "A symbol has"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(line, words):
    with pytest.raises(WireError, match=words) as caught:
        parse(line, {})
    assert caught.value.code == "tick"
    assert split(line + b"\n") is None


def test_a_symbol_of_32_bytes_is_taken():
    assert parse(b"X" * 32 + b" 1", {}) == (b"X" * 32, b"1")


@pytest.mark.parametrize(
    "line", [b"login: desk hunter2", b" LOGIN:desk hunter2", b"Login x hunter2"]
)
def test_no_password_is_repeated_where_a_login_is_misspelt(line):
    with pytest.raises(WireError) as caught:
        parse(line, {})
    assert "hunter2" not in str(caught.value)
    assert "LOGIN: name password" in str(caught.value)


# Names


@pytest.mark.parametrize(
    ("symbol", "spelt"),
    [
        ("EURUSD", b"EURUSD"),
        ("UK 100", b"UK%20100"),
        ("A,B;C", b"A%2CB%3BC"),
        ("@@X", b"%40@X"),
        ("*", b"%2A"),
        ("SYNC:", b"SYNC%3A"),
        ("50%2025", b"50%2025"),
        ("100%AB", "100«".encode()),
        ("50%", b"50%"),
    ],
)
def test_what_would_be_read_as_something_else_is_spelt_out(symbol, spelt):
    assert encode_symbol(symbol) == spelt
    assert parse(spelt + b" 1", {}) == (spelt, b"1")


REAL = [
    "@ES", "@EU6", "[NQ100]", "US30^", "EURUSD~", "BTC/USDT:USDT", "EURUSD.£", "Газпром", "-X",
    ".X", "A'B", "x" * 32, "é" * 32, "#JP225", "$5%", "EUR(USD)", "{a}", "A=B", "A?B", "BTC:",
    "日経225",
]  # fmt: skip


@pytest.mark.parametrize("symbol", REAL)
def test_a_symbol_is_the_same_in_every_spelling(symbol):
    name = encode_symbol(symbol)
    escaped = b"".join(b"%%%02x" % byte for byte in symbol.encode())
    assert parse(escaped + b" 1", {}) == (name, b"1")
    assert parse(name + b";1", {}) == (name, b"1")
    if symbol != "BTC:":
        assert parse(symbol.encode() + b" 1", {}) == (name, b"1")


def test_bytes_that_are_no_utf_8_are_read_in_the_code_page():
    assert parse(b"EURUSD.\xa3 1", {}) == ("EURUSD.£".encode(), b"1")
    assert parse(b"EURUSD.%A3 1", {}) == ("EURUSD.£".encode(), b"1")
    gazprom = "Газпром"
    assert parse(gazprom.encode("cp1251") + b" 1", {}, "cp1251") == (gazprom.encode(), b"1")
    assert parse("£ 100 1".encode("cp1252"), spaced_symbols_table(["£ 100"])) == (
        "£%20100".encode(),
        b"1",
    )


@pytest.mark.parametrize("price", ["4500", "4500.25"])
def test_one_at_sign_begins_a_symbol(price):
    assert split(b"@ES %b\n" % price.encode()) == [(b"@ES", price.encode())]


@pytest.mark.parametrize("symbol", ["", "X" * 33, "é" * 33, " " * 11, " X", "X ", "a|b", "\ud800"])
def test_what_is_too_long_or_not_printable_is_no_symbol(symbol):
    with pytest.raises(WireError, match="A symbol has 1 to 32 printable") as caught:
        encode_symbol(symbol)
    assert caught.value.code == "symbol"


# Numbers


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"1.09870", b"1.09870"),
        (b"1.5e+09", b"1.5e+09"),
        (b"9.3e-005", b"9.3e-005"),
        (b"0.0000012345", b"0.0000012345"),
        (b"512.0599999999999", b"512.06"),
        (b"0.30000000000000004", b"0.3"),
        (b"1e300", b"1e300"),
    ],
)
def test_numbers_are_taken_as_programs_print_them_and_noise_is_dropped(sent, kept):
    assert parse(b"X " + sent, {}) == (b"X", kept)
    assert parse(b"X 1 1 1 " + sent, {}) == (b"X", b"1 1 1 " + kept)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"1.1", b"1.10000"),
        (b"1.1 1.11 0 0 1704067200100 6", b"1.10000 1.11000 - - 1704067200100 6"),
        (b"1.1", b"1.1 - - - - 2"),
        (b"1e-05", b"0.00001"),
        (b"1.1 - 0.0 0.00 - 2", b"1.1"),
        (b"1.1 - 5 2", b"1.10 - 5.0 2.000 - 26"),
    ],
)
def test_ticks_are_equal_by_value(one, other):
    assert wire.key_of(one) == wire.key_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"1.1", b"1.10001"),
        (b"0", b"- 1"),
        (b"0 1", b"- 1"),
        (b"1.1 - - - - 2", b"1.1 - - - - 6"),
        (b"1.1 - 1", b"1.1 - - 1"),
    ],
)
def test_other_ticks_are_not(one, other):
    assert wire.key_of(one) != wire.key_of(other)


# Headers, commands, lines


@pytest.mark.parametrize(
    ("line", "header"),
    [
        (b"@@desk-1 42", ("desk-1", 42, b"")),
        (b"@@a 0", ("a", 0, b"")),
        (b"@@A.b_c-9 9223372036854775807", ("A.b_c-9", 2**63 - 1, b"")),
        (b"@@desk 7 bWFj+/=", ("desk", 7, b"bWFj+/=")),
        (b"@@desk 7 ", ("desk", 7, b"")),
        (b"@@" + b"x" * 32 + b" 1", ("x" * 32, 1, b"")),
    ],
)
def test_a_header_names_the_sender_and_the_number(line, header):
    assert wire.parse_header(line) == header


@pytest.mark.parametrize(
    "line",
    [
        b"@@",
        b"@@desk",
        b"@@desk x",
        b"@@desk -1",
        b"@@desk 9223372036854775808",
        b"@@desk 12345678901234567890",
        b"@@de sk 1",
        b"@@d:sk 1",
        b"@@ 1",
        b"@@" + b"x" * 33 + b" 1",
        b"@@desk 1 mac more",
        b"desk 1",
    ],
)
def test_what_is_no_header_is_refused(line):
    with pytest.raises(WireError, match="A header is @@SOURCE SEQ") as caught:
        wire.parse_header(line)
    assert caught.value.code == "header"


def test_lines_are_cut_at_headers_and_commands():
    text = b"A 1\nB 2\n@@me 7\nC 3\nPING:\nSYNC: x y\nD 4\nping:\nTOOLONGACOMMAND: x\n"
    assert list(wire.sections(text)) == [
        (b"A 1\nB 2\n", b"@@me 7"),
        (b"C 3\n", b"PING:"),
        (b"", b"SYNC: x y"),
        (b"D 4\nping:\nTOOLONGACOMMAND: x\n", b""),
    ]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"PING:", ("PING", [])),
        (b"SUBSCRIBE: EURUSD  GBPUSD", ("SUBSCRIBE", [b"EURUSD", b"GBPUSD"])),
    ],
)
def test_a_command_has_a_verb_and_words(line, command):
    assert wire.parse_command(line) == command


def test_what_has_no_colon_is_no_command():
    with pytest.raises(WireError, match="VERB: words"):
        wire.parse_command(b"PING")


@pytest.mark.parametrize(
    ("datagram", "said"),
    [
        (b"EURUSD 1.09876\0", b"EURUSD 1.09876"),
        (b"EURUSD 1.1\0D 1.09876\0", b"EURUSD 1.1"),
        (b"\0EURUSD 1.1", b""),
        (b"x" * 8_191, b"x" * 8_191),
    ],
)
def test_a_datagram_ends_at_its_first_nul(datagram, said):
    assert wire.payload(datagram) == said


@pytest.mark.parametrize("size", [8_192, 20_000])
def test_a_datagram_that_may_be_cut_is_refused_whole(size):
    with pytest.raises(WireError, match="at most 8191 bytes") as caught:
        wire.payload(b"EURUSD 1.1\n" * 2_000 if size > 8_192 else b"x" * size)
    assert caught.value.code == "size"


def decode(pieces):
    decoder = LineDecoder()
    return b"".join(map(decoder.feed, pieces)), decoder.rest, decoder.overlong


STREAM = b"A 1\r\nB 2\0\r\n\0C 3\n\nD 4\r\n\0\0E 5"
DECODED = (b"A 1\nB 2\nC 3\nD 4\n", b"E 5", False)


@pytest.mark.parametrize("at", range(len(STREAM) + 1))
def test_a_stream_is_cut_into_lines_wherever_it_is_split(at):
    assert decode([STREAM[:at], STREAM[at:]]) == DECODED


def test_a_stream_is_cut_into_lines_byte_by_byte():
    assert decode([bytes([each]) for each in STREAM]) == DECODED


@given(
    st.lists(st.tuples(RECORDS.map(b" ".join), st.sampled_from([b"\n", b"\r\n", b"\0"]))),
    st.lists(st.integers(1, 40), min_size=1),
)
def test_a_stream_of_records_is_the_same_in_all_pieces(lines, sizes):
    stream = b"".join(line + end for line, end in lines)
    pieces, at = [], 0
    while at < len(stream):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(stream[at : at + size])
        at += size
    assert decode(pieces) == (b"".join(line + b"\n" for line, _ in lines), b"", False)


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\0", b""])
def test_a_line_of_512_bytes_is_taken_and_a_longer_one_ends_the_stream(ending):
    assert not decode([b"A 1\n" + b"x" * 512 + ending])[2]
    lines, _, overlong = decode([b"A 1\n" + b"x" * 514 + ending])
    assert (lines, overlong) == (b"A 1\n", True)


def test_what_stands_behind_a_line_that_is_too_long_is_left_out():
    assert decode([b"A 1\n" + b"x" * 513 + b"\nB 2\n"])[::2] == (b"A 1\n", True)


# Out


def test_a_subscriber_is_told_all_seven_fields_and_the_time_of_receipt():
    assert wire.encode_tick(b"EURUSD", b"1.10", 17) == b"TICK: EURUSD 1.10 - - - - - 17\r\n"


def test_a_subscriber_is_told_how_many_were_skipped():
    line = wire.encode_tick(b"EURUSD", b"1 2 3 4 123456789012 6", 17, 12)
    assert line == b"TICK: EURUSD 1 2 3 4 123456789012 6 17 ~12\r\n"


@pytest.mark.parametrize(
    ("rest", "time"),
    [
        (b"1", None),
        (b"1 2 3 4", None),
        (b"1 - - - -", None),
        (b"1 - - - - 6", None),
        (b"1 - - - 123456789012", 123456789012),
        (b"- 1 - - 1549238400994 6", 1549238400994),
    ],
)
def test_the_time_of_a_tick_is_its_fifth_field(rest, time):
    assert wire.time_of(rest) == time
