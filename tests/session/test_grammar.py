"""Frames of dialect 2, as bytes."""

import traceback
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import WireError
from mtnet.session import fields
from mtnet.session.grammar import (
    MAX_FRAME,
    FrameDecoder,
    Message,
    _parse_any,
    _parse_plain,
    append,
    encode,
    escape,
    is_classic,
    is_hello,
    parse,
    salvage,
)
from mtnet.values import format_volume

SECRET = "s3cr3t-Passwort"
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,11}", fullmatch=True)
VERBS = st.from_regex(r"[A-Z]{1,16}", fullmatch=True)


def decode(*chunks):
    decoder = FrameDecoder(MAX_FRAME, MAX_FRAME)
    return [payload for chunk in chunks for payload in decoder.feed(chunk)]


@pytest.mark.parametrize(
    ("payload", "verb", "said"),
    [
        (b"PONG", "PONG", {}),
        (b"PING|t=", "PING", {"t": ""}),
        (b"PING|t=a=b=c", "PING", {"t": "a=b=c"}),
        (b"PING|t=%7C%3c%3E%25%0d%0A%00", "PING", {"t": "|<>%\r\n\0"}),
        (b"PING|t=%C3%A9", "PING", {"t": "é"}),
        ("PING|t=é".encode(), "PING", {"t": "é"}),
        ("PING|t=é€".encode("cp1252"), "PING", {"t": "é€"}),
        ("PING|t=é|u=%E9".encode(), "PING", {"t": "é", "u": "é"}),
        (b"PING|t=\x81", "PING", {"t": "\ufffd"}),
        (b"PING|t=%2525", "PING", {"t": "%25"}),
        (b"PING|%74=1", "PING", {"t": "1"}),
        (b"PING|t=a<b\0", "PING", {"t": "a<b\0"}),
        (b"WHATEVER|x-y=1| =2", "WHATEVER", {"x-y": "1", " ": "2"}),
    ],
)
def test_frames_are_read(payload, verb, said):
    assert parse(payload) == Message(verb, said)


def test_fields_that_are_not_utf_8_are_read_in_the_code_page():
    payload = "PING|t=ЗОЛОТО".encode("cp1251") + "|u=ЗОЛОТО".encode()
    assert parse(payload, "cp1251").fields == {"t": "ЗОЛОТО", "u": "ЗОЛОТО"}


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (b"", "verb in capital letters$"),
        (b"|", "verb in capital letters"),
        (b"ping|t=1", "verb in capital letters"),
        (b" PING", "verb in capital letters"),
        (b"PING\n", "verb in capital letters"),
        (b"P1NG", "verb in capital letters"),
        (b"%50ING", "verb in capital letters"),
        ("PÎNG".encode(), "verb in capital letters"),
        (b"A" * 17, "verb in capital letters"),
    ],
)
def test_a_frame_begins_with_a_verb(payload, sentence):
    with pytest.raises(WireError, match=sentence) as caught:
        parse(payload)
    assert caught.value.code == "verb"


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (b"PING|", "key=value$"),
        (b"PING|t", "key=value, not: 't'"),
        (b"PING|=1", "key=value"),
        (b"PING||t=1", "key=value"),
        (b"GBPUSD|0.25", "key=value, not: '0.25'"),
        (b"PING|t=%", "followed by two hex digits"),
        (b"PING|t=50% off", "followed by two hex digits"),
        (b"PING|t=%4", "followed by two hex digits"),
        (b"PING|t=%4G", "followed by two hex digits, as %25, not: 't=%4G'"),
        (b"PING|t=%25%", "followed by two hex digits"),
        (b"PING|%zz=1", "followed by two hex digits"),
        (b"PING|t=1|t=1", "PING has each field once, not: 't=1'"),
        (b"PING|t=1|%74=2", "PING has each field once"),
    ],
)
def test_a_field_is_whole_and_stands_once(payload, sentence):
    with pytest.raises(WireError, match=sentence) as caught:
        parse(payload)
    assert caught.value.code == "field"


@pytest.mark.parametrize(
    "payload",
    [
        f"HELLO|v=2|login=a|password={SECRET}|{SECRET}",
        f"HELLO|v=2|login=a|password={SECRET}|password={SECRET}",
        f"HELLO|v=2|password=%{SECRET}",
        f"HELLO|v=2|password={SECRET}%é",
        f"hello|v=2|password={SECRET}",
        f"HELLO v=2 login=a password={SECRET}",
        f" HELLO|{SECRET}",
        f"HALLO|v=2|password={SECRET}|{SECRET}",
        f"LOGIN PASSWORD {SECRET}",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_errors_quote_nothing_where_a_password_may_stand(payload, encoding):
    with pytest.raises(WireError) as caught:
        parse(payload.encode(encoding))
    error = caught.value
    shown = [str(error), repr(error), repr(error.offending), *traceback.format_exception(error)]
    # The frames of the test itself are in the traceback, and name the constant alone.
    assert not any(SECRET in text for text in shown)


def test_a_message_shows_no_values():
    message = parse(f"HELLO|v=2|login=a|password={SECRET}".encode())
    assert repr(message) == str(message) == "<HELLO with ['v', 'login', 'password']>"


@pytest.mark.parametrize(
    ("payload", "published", "opens"),
    [
        (b"GBPUSD|0.25", True, False),
        (b"HELLO|0.10", True, False),
        (b"HELLO|", True, False),
        (b"A=B|1", True, False),
        (b"GBPUSD|rubbish", True, False),
        (b"HELLO|v=2", False, True),
        (b"HELLO|v=2|name=x", False, True),
        (b"HELLO|0.10|v=2", False, True),
        (b"HELLO", False, True),
        (b"HELLOX|v=2", False, False),
        (b"PING|t=1", False, False),
        (b"PONG", False, False),
        (b"", False, False),
    ],
)
def test_the_classic_dialect_is_told_from_this_one(payload, published, opens):
    assert (is_classic(payload), is_hello(payload)) == (published, opens)


def test_a_frame_is_written_with_its_fields_in_order_and_without_absent_ones():
    frame = encode("SIGNAL", seq=43, symbol="A%|<>\x7f\n", volume=Decimal("0.250"), prev=None)
    assert frame == b"<<SIGNAL|seq=43|symbol=A%25%7C%3C%3E%7F%0A|volume=0.250>>\r\n"
    assert encode("BYE") == b"<<BYE>>\r\n"


def test_only_what_must_be_is_escaped():
    plain = "".join(map(chr, range(32, 127))).translate(dict.fromkeys(map(ord, "%|<>")))
    assert escape(plain + "é€\x80\u2028") == plain + "é€\x80\u2028"


@pytest.mark.parametrize("code", [*range(32), 127, *map(ord, "%|<>")])
def test_what_must_be_escaped_is_written_in_capitals(code):
    assert escape(chr(code)) == f"%{code:02X}"


@pytest.mark.parametrize(
    ("volume", "shown"),
    [
        ("0.25", "0.25"),
        ("-0.25", "-0.25"),
        ("0.250", "0.250"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("0E+5", "0"),
        ("1E+2", "100"),
        ("0.00001", "0.00001"),
        ("1E-7", "0.0000001"),
        ("99999999.99999", "99999999.99999"),
    ],
)
def test_volumes_are_spelt_exactly(volume, shown):
    assert format_volume(Decimal(volume)) == shown


def test_a_field_is_put_behind_a_frame():
    assert append(encode("PING", t=">>"), "prev", 7) == b"<<PING|t=%3E%3E|prev=7>>\r\n"


def test_a_frame_has_at_most_4096_bytes():
    most = MAX_FRAME - len(encode("ERROR", text=""))
    assert decode(encode("ERROR", text="x" * most)) == [b"ERROR|text=" + b"x" * most]
    with pytest.raises(WireError, match="at most 4096 bytes") as caught:
        encode("ERROR", text="x" * (most + 1))
    assert caught.value.code == "field"


def test_text_that_is_no_unicode_is_refused():
    with pytest.raises(WireError, match="Unicode"):
        encode("PING", t="\ud800")


@given(VERBS, st.dictionaries(KEYS, TEXTS, max_size=8))
def test_what_is_written_is_read_back_at_every_split(verb, said):
    frame = encode(verb, **said)
    assert b"\0" not in frame
    assert frame.endswith(b">>\r\n")
    for at in range(len(frame) + 1):
        (payload,) = decode(frame[:at], frame[at:])
        assert parse(payload) == Message(verb, said)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(payload):
    with suppress(WireError):
        assert parse(payload).verb.isascii()
    assert salvage(payload).fields.keys() <= {"id", "channel"}


LIKELY = st.lists(
    st.sampled_from([b"|", b"=", b"%", b"%7C", b"%3", b"PING", b"a", b"b", b"\xc3\xa9", b"\xe9"]),
    max_size=12,
).map(b"".join)


@given(LIKELY)
def test_the_fast_way_reads_what_the_slow_way_reads(tail):
    fast = _parse_plain(b"PING|" + tail)
    if fast is not None:
        assert fast == _parse_any(b"PING|" + tail, "cp1252")


def test_a_refused_frame_still_tells_its_id():
    payload = b"PUBLISH|id=a-1|channel=gold|comment=50%|symbol"
    assert salvage(payload).fields == {"id": "a-1", "channel": "gold"}


def test_a_field_that_is_needed_is_named():
    with pytest.raises(WireError, match="PUBLISH needs id, which is 1 to 64 of") as caught:
        Message("PUBLISH", {}).require("id", fields.ID)
    assert caught.value.code == "field"
