"""Messages of the session dialect as JSON."""

import json
import traceback
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import FrameError, WireError
from mtnet.services.signals.wire import answers, requests
from mtnet.session import grammar, messages
from mtnet.session.fields import LISTS, NUMBERS, join_list
from mtnet.session.grammar import Message
from mtnet.session.grammar import encode as frame
from mtnet.session.json import MAX_EXACT, encode, parse, salvage, transcode

SECRET = "s3cr3t-Passwort"
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,11}", fullmatch=True).filter(lambda key: key != "verb")
VERBS = st.from_regex(r"[A-Z]{1,16}", fullmatch=True)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def fields_of(text):
    return parse(text.encode()).fields


# Messages of clients


def test_an_object_is_the_message_that_a_frame_would_be():
    text = b'{"verb": "PUBLISH", "id": "a-1", "symbol": "GBPUSD", "volume": "0.25"}'
    asked = requests.read_request(parse(text))
    assert asked == requests.Publish("a-1", "GBPUSD", Decimal("0.25"))


def test_the_verb_may_stand_anywhere_and_blanks_between():
    assert parse(b' {\n "t" : "1" ,\t"verb":"PING" } ') == Message("PING", {"t": "1"})


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0.25", "0.25"),
        ("-1", "-1"),
        ("1.10", "1.1"),
        ("3.0", "3"),
        ("1e2", "100"),
        ("1E-7", "0.0000001"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("-0", "-0"),
        ("9007199254740991", "9007199254740991"),
        ("-9007199254740991", "-9007199254740991"),
        ("1e20", "100000000000000000000"),
    ],
)
def test_a_number_is_taken_by_its_shortest_text_without_exponent(number, text):
    assert fields_of(f'{{"verb": "PUBLISH", "volume": {number}}}') == {"volume": text}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_is_not_finite_is_refused(number):
    with pytest.raises(WireError, match="a finite number") as caught:
        fields_of(f'{{"verb": "PUBLISH", "volume": {number}}}')
    assert caught.value.code == "field"


@pytest.mark.parametrize("number", [str(MAX_EXACT), str(-MAX_EXACT), "1" + "0" * 5_000])
def test_a_whole_number_that_a_browser_rounds_has_to_be_a_text(number):
    with pytest.raises(WireError, match="is written as a text, not: '") as caught:
        fields_of(f'{{"verb": "PUBLISH", "magic": {number}}}')
    assert caught.value.code == "field"
    assert fields_of(f'{{"verb": "PUBLISH", "magic": "{number}"}}') == {"magic": number}


@pytest.mark.parametrize("value", ["true", "false"])
def test_a_boolean_is_no_volume(value):
    with pytest.raises(WireError) as refused:
        parse(f'{{"verb": "PUBLISH", "volume": {value}}}'.encode())
    assert refused.value.code == "field"


def test_null_is_an_absent_field_and_a_flag_is_0_or_1():
    text = '{"verb": "PUBLISH", "ticket": null, "take": true, "closed": false}'
    assert fields_of(text) == {"take": "1", "closed": "0"}


@pytest.mark.parametrize(
    ("array", "text"),
    [
        ('["EURUSD", "GBPUSD"]', "EURUSD,GBPUSD"),
        ('["A,B"]', "A%2CB"),
        ("[]", ""),
        ("[1, 2.5]", "1,2.5"),
        ('"EURUSD,GBPUSD"', "EURUSD,GBPUSD"),
    ],
)
def test_a_list_is_an_array_or_the_text_of_a_frame(array, text):
    assert fields_of(f'{{"verb": "SUBSCRIBE", "symbols": {array}}}') == {"symbols": text}


@pytest.mark.parametrize(
    "field",
    [
        '"symbol": ["EURUSD"]',
        '"symbols": [["EURUSD"]]',
        '"symbols": [null]',
        '"symbols": [{}]',
        '"symbol": {"name": "EURUSD"}',
        '"unknown": {}',
        r'"comment": "\ud800"',
        r'"symbols": ["\udfff"]',
    ],
)
def test_a_value_that_no_field_has_is_refused(field):
    with pytest.raises(WireError) as caught:
        fields_of(f'{{"verb": "PUBLISH", {field}}}')
    assert caught.value.code == "field"


@pytest.mark.parametrize(
    ("field", "quoted"),
    [
        ('"comment": {"a": 1.50}', '{"a": 1.50}'),
        ('"symbols": ["EURUSD", ["X"]]', '["EURUSD", ["X"]]'),
        ('"volume": [0.1]', "[0.1]"),
        ('"comment": true', "true"),
        ('"volume": NaN, "comment": {"a": 1}', "NaN"),
        ('"comment": {"a": 1}, "price": NaN', "comment"),
    ],
)
def test_a_refusal_quotes_the_value_as_it_came(field, quoted):
    with pytest.raises(WireError) as caught:
        fields_of(f'{{"verb": "PUBLISH", {field}}}')
    assert quoted in str(caught.value)


@pytest.mark.parametrize("second", ['"2"', "null", '"1"'])
def test_a_doubled_key_is_refused(second):
    with pytest.raises(WireError, match="PUBLISH has each field once") as caught:
        fields_of(f'{{"verb": "PUBLISH", "id": "1", "id": {second}}}')
    assert caught.value.code == "field"


@pytest.mark.parametrize("verb", ["", '"verb": "ping"', '"verb": null', '"verb": 1', '"verb": ""'])
def test_a_message_has_a_verb(verb):
    with pytest.raises(WireError, match="verb is a word of capital letters") as caught:
        parse(f"{{{verb}}}".encode())
    assert caught.value.code == "verb"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"1",
        b'"PING"',
        b'["PING"]',
        b"<<PING>>",
        b"{'verb': 'PING'}",
        b'{"verb": "PING"',
        b'{"verb": "PING"} {}',
        b'{"verb": "PING", "t": "\x01"}',
        b'{"verb": "\xff"}',
        b"[" * 16_000,
        b'{"a":' * 3_000,
        b'{"verb": "PING", "t": 01}',
        b'\xef\xbb\xbf{"verb": "PING"}',
    ],
)
def test_what_is_no_object_ends_the_connection(data):
    with pytest.raises(FrameError, match=r"^A message is one JSON object") as caught:
        parse(data)
    assert caught.value.code == "frame"


@pytest.mark.parametrize(
    "text",
    [
        f'{{"verb": "HELLO", "password": "{SECRET}", "{SECRET}": NaN}}',
        f'{{"verb": "HELLO", "password": "{SECRET}", "password": "{SECRET}"}}',
        f'{{"verb": "hello", "password": "{SECRET}"}}',
        f'{{"verb": "HELLO", "password": "{SECRET}',
        f'{{"password": "{SECRET}"}}',
        f'{{"pass": "{SECRET}", "verb": "{SECRET}"}}',
        rf'{{"verb": "{SECRET}", "\u0070assword": "{SECRET}"}}',
        rf'{{"verb": "H\u0045LLO", "\u0070assword": "{SECRET}", "{SECRET}": {{}}}}',
    ],
)
def test_errors_quote_nothing_where_a_password_may_stand(text):
    with pytest.raises(WireError) as caught:
        parse(text.encode())
    error = caught.value
    shown = [str(error), repr(error.offending), *traceback.format_exception(error, chain=False)]
    assert not any(SECRET in each for each in shown)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"verb": "PUBLISH", "id": "a", "channel": "gold", "volume": NaN}', ("a", "gold")),
        ('{"verb": "PUBLISH", "id": "a", "x": {}}', ("a", None)),
        ('{"verb": "PUBLISH", "id": ["a"], "channel": 1}', (None, "1")),
        ("[]", (None, None)),
        ("{", (None, None)),
    ],
)
def test_the_names_of_a_refused_request_are_saved(text, found):
    message = salvage(text.encode())
    assert (message.fields.get("id"), message.fields.get("channel")) == found


# Messages of the server


def test_numbers_are_sequence_numbers_counts_and_times_and_all_else_is_text():
    frames = frame(
        "SIGNAL",
        channel="main",
        seq=43,
        volume=Decimal("1E-5"),
        time=17,
        ticket="007",
        h="12345678",
    )
    assert transcode(frames) == [
        b'{"verb":"SIGNAL","channel":"main","seq":43,"volume":"0.00001","time":17,"ticket":"007",'
        b'"h":"12345678"}'
    ]


def test_values_are_not_escaped():
    (text,) = transcode(frame("NOTICE", text="50 % <b> | é\r\n"))
    assert json.loads(text) == {"verb": "NOTICE", "text": "50 % <b> | é\r\n"}


def test_lists_are_arrays():
    (text,) = transcode(answers.channels(["gold", "main"]))
    assert json.loads(text) == {"verb": "CHANNELS", "channels": ["gold", "main"]}
    (text,) = transcode(messages.heartbeat(1, seqs="main:43,gold:7"))
    assert json.loads(text)["seqs"] == ["main:43", "gold:7"]
    assert transcode(frame("TICKING", symbols="")) == [b'{"verb":"TICKING","symbols":[]}']


def test_each_frame_becomes_a_message():
    frames = messages.pong(1) + answers.flattened("main") + messages.error("slow", ">> <<")
    assert [json.loads(text)["verb"] for text in transcode(frames)] == [
        "PONG",
        "FLATTENED",
        "ERROR",
    ]


def test_counts_and_flags_are_numbers():
    (text,) = transcode(frame("BAR", ticks=58, spread=-3, current=1, volume="0", close="1.10"))
    assert json.loads(text) == {
        "verb": "BAR", "ticks": 58, "spread": -3, "current": 1, "volume": "0", "close": "1.10"
    }  # fmt: skip
    (text,) = transcode(frame("TICK", flags=6, skipped=12, bid="1.09877"))
    assert json.loads(text) == {"verb": "TICK", "flags": 6, "skipped": 12, "bid": "1.09877"}


def test_a_number_that_a_browser_rounds_is_text():
    (text,) = transcode(frame("SIGNAL", ptime=MAX_EXACT, seq=MAX_EXACT - 1, time="soon"))
    assert json.loads(text) == {
        "verb": "SIGNAL", "ptime": str(MAX_EXACT), "seq": MAX_EXACT - 1, "time": "soon"
    }  # fmt: skip


# Both directions


@given(VERBS, st.dictionaries(KEYS.filter(lambda key: key not in LISTS | NUMBERS), TEXTS))
def test_a_message_comes_back_as_it_was(verb, fields):
    message = Message(verb, {key: text for key, text in fields.items() if key != "seqs"})
    assert parse(encode(message)) == message


@given(
    VERBS,
    st.dictionaries(st.sampled_from(sorted(NUMBERS)), st.integers(0, 2**63 - 1)),
    st.dictionaries(
        st.sampled_from(sorted(LISTS)), st.lists(TEXTS.filter(lambda t: "%2C" not in t))
    ),
    st.dictionaries(KEYS.filter(lambda key: key not in LISTS | NUMBERS), TEXTS, max_size=3),
)
def test_frames_and_their_json_are_read_as_the_same_message(verb, numbers, lists, texts):
    joined = {key: join_list(items) for key, items in lists.items()}
    try:
        made = frame(verb, **{**texts, **joined, **numbers})
    except WireError:
        return  # longer than a frame
    (payload,) = grammar.payloads(made)
    (text,) = transcode(made)
    assert parse(text) == grammar.parse(payload)


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes_are_a_message_or_an_error(data):
    check(data)


@given(
    st.dictionaries(st.sampled_from(["verb", "id", "symbols", "x"]) | st.text(max_size=5), VALUES)
)
def test_any_object_is_a_message_or_an_error(value):
    check(json.dumps(value).encode())


def check(data):
    """Read a message, write what was read, and read that."""
    salvage(data)
    try:
        message, code = parse(data), None
    except WireError as error:
        message, code = Message("NONE", {}), error.code
    assert code in (None, "frame", "field", "verb")
    assert all(isinstance(text, str) for text in message.fields.values())
    assert "verb" not in message.fields
    assert without_numbers(parse(encode(message))) == without_numbers(message)


def without_numbers(message):
    return {key: text for key, text in message.fields.items() if key not in NUMBERS}
