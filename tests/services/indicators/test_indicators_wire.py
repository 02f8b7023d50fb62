"""CALC, INDICATOR and their answers: texts in, values out, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import WireError
from mtnet.services.indicators import wire
from mtnet.services.indicators.wire import (
    ANSWERS,
    EMPTY_MT4,
    REQUESTS,
    Calc,
    Calced,
    Follow,
    Indicated,
    Series,
    Value,
    read_value,
)
from mtnet.session import json
from mtnet.session.grammar import FrameDecoder, Message, parse, payloads

RSI = Series("RSI14", "EURUSD", "H1")
NAMES = st.from_regex(r"[A-Za-z0-9._/-]{1,64}", fullmatch=True)
SYMBOLS = st.sampled_from(["EURUSD", "BTC/USDT:USDT", "EURUSD.£", "Газпром", "A,B%C", "US30^"])
ITEMS = (
    st.floats(-1e300, 1e300).filter(lambda each: each != EMPTY_MT4).map(repr)
    | st.just("")
    | st.integers(-(10**9), 10**9).map(str)
)
SERIES = st.builds(Series, NAMES, SYMBOLS, st.sampled_from(wire.PERIODS))
VALUES = st.builds(
    Value,
    SERIES,
    st.integers(0, 2**63 - 1),
    st.lists(ITEMS, min_size=1, max_size=16).map(tuple),
    st.booleans(),
)


def read(frame, readers):
    (payload,) = payloads(frame)
    message = parse(payload)
    return readers[message.verb](message)


@given(VALUES, st.sampled_from(["", "a-1"]))
def test_values_come_back_as_they_were(value, id):
    assert read(wire.calc(value, id), REQUESTS) == Calc(value, id)
    assert read(wire.value(value), ANSWERS) == value


@given(SERIES, st.integers(0, 5_000))
def test_requests_and_answers_come_back_as_they_were(series, number):
    assert read(wire.indicator(series, number), REQUESTS) == Follow(series, number)
    assert read(wire.indicated(Indicated(series, number)), ANSWERS) == Indicated(series, number)
    answer = Calced(series, number, "x")
    assert read(wire.calced(answer), ANSWERS) == answer


@given(VALUES)
def test_json_says_the_same(value):
    (shown,) = json.transcode(wire.value(value))
    assert ANSWERS["VALUE"](json.parse(shown)) == value


def test_json_has_null_for_an_empty_value_and_text_for_the_others():
    (shown,) = json.transcode(wire.value(Value(RSI, 1000, ("55.30", "", "1"), True)))
    assert shown == (
        b'{"verb":"VALUE","name":"RSI14","symbol":"EURUSD","period":"H1","bar":1000,'
        b'"values":["55.30",null,"1"],"open":"1"}'
    )
    (shown,) = json.transcode(wire.value(Value(RSI, 1000, ("",))))
    assert b'"values":[null]' in shown
    asked = b'{"verb":"CALC","name":"RSI14","symbol":"EURUSD","period":"H1","bar":1000,'
    found = REQUESTS["CALC"](json.parse(asked + b'"values":[55.3,null],"open":true}'))
    assert found == Calc(Value(RSI, 1000, ("55.3", ""), True))


def test_byte_by_byte_the_frames_are_the_same():
    frames = wire.calc(Value(RSI, 1000, ("55.3", "")), "a") + wire.indicator(RSI, 5)
    whole = list(FrameDecoder().feed(frames))
    for cut in range(len(frames)):
        decoder = FrameDecoder()
        assert [*decoder.feed(frames[:cut]), *decoder.feed(frames[cut:])] == whole
    decoder = FrameDecoder()
    assert [each for at in range(len(frames)) for each in decoder.feed(frames[at : at + 1])] == (
        whole
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("55.30", "55.30"),
        ("-0.5", "-0.5"),
        ("1e-7", "1e-7"),
        ("-1.2345678901234567e-300", "-1.2345678901234567e-300"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("", ""),
        ("1.7976931348623157e+308", ""),
        ("1.797693134862316e+308", ""),
        ("-1.7976931348623157e+308", ""),
        (f"{2**1024 - 2**970}.00000000", ""),
        ("2147483647", ""),
        ("2147483647.00", ""),
        ("2147483646", "2147483646"),
        ("nan", None),
        ("-nan(ind)", None),
        ("inf", None),
        ("1_000", None),
        (" 1", None),
        ("1.", None),
        (".5", None),
        ("+1", None),
        ("0x10", None),
        ("\u0661", None),
        ("1" * 33, None),
    ],
)
def test_a_value_keeps_its_digits_and_empty_value_is_empty(text, value):
    assert read_value(text) == value


@pytest.mark.parametrize(
    ("verb", "fields", "sentence"),
    [
        ("CALC", {"name": "a b"}, "In CALC name is 1 to 64 of"),
        ("CALC", {"period": "H5"}, "In CALC period is one of S1"),
        ("CALC", {"period": "16385"}, "In CALC period is one of S1"),
        ("CALC", {"symbol": ""}, "In CALC symbol is"),
        ("CALC", {"bar": "-1"}, "In CALC bar is a whole number"),
        ("CALC", {"bar": None}, "CALC needs bar"),
        ("CALC", {"values": "1;2"}, "In CALC values is 1 to 16 numbers"),
        ("CALC", {"values": "1," * 16}, "In CALC values is 1 to 16 numbers"),
        ("CALC", {"values": None}, "CALC needs values"),
        ("CALC", {"open": "2"}, "In CALC open is 1 or 0"),
        ("CALC", {"id": "a b"}, "In CALC id is"),
        ("INDICATOR", {"bars": "x"}, "In INDICATOR bars is a whole number"),
    ],
)
def test_a_wrong_field_is_named_with_an_example(verb, fields, sentence):
    right = {"name": "RSI14", "symbol": "EURUSD", "period": "H1", "bar": "1", "values": "1"}
    given = {key: text for key, text in {**right, **fields}.items() if text is not None}
    with pytest.raises(WireError, match=sentence) as caught:
        REQUESTS[verb](Message(verb, given))
    assert caught.value.code == "field"


def test_sixteen_buffers_of_the_longest_values_fit_in_a_frame():
    value = Value(Series("n" * 64, "%" * 32, "MN1"), 2**63 - 1, ("-" + "1" * 31,) * 16, True)
    assert read(wire.value(value), ANSWERS) == value
