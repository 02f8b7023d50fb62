"""Query and body, bytes in and values out."""

import json
from contextlib import suppress
from decimal import Decimal
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from mtnet.errors import WireError
from mtnet.net.http.input import read_body, read_params
from mtnet.net.http.route import Content, Route


class Query(Struct, kw_only=True):
    channel: str = ""
    after: int = 0
    wait: float = 0.0
    symbols: tuple[str, ...] = ()
    take: bool = False


class Position(Struct):
    symbol: str
    volume: str
    time: int = 0
    comment: str | None = None


class Waits(Struct):
    waits: list[float]


class Positions(Struct):
    positions: list[Position] = []
    flat: bool = False


def route(**more):
    return Route(
        method="POST", path="/v1/{channel}", handler=print, summary="", params=Query, **more
    )


def query(**given):
    args = {key.encode(): each if isinstance(each, list) else [each] for key, each in given.items()}
    return read_params(route(), {"channel": "gold"}, args, "cp1252")


def body(data, kind=Position):
    return read_body(route(body=kind), data, "cp1252")


def test_the_query_is_read_into_the_types_of_the_params():
    found = query(after=b"43", wait=b"2.5", symbols=b"EURUSD,GBPUSD", take=b"1", unknown=b"x")
    assert found == Query(
        channel="gold", after=43, wait=2.5, symbols=("EURUSD", "GBPUSD"), take=True
    )
    assert query() == Query(channel="gold")


def test_the_path_counts_and_not_a_key_of_the_same_name():
    assert query(channel=b"silver").channel == "gold"


def test_a_comma_within_an_item_is_escaped_twice():
    assert query(symbols=b"A%2CB,C").symbols == ("A,B", "C")
    assert query(symbols=[b"A", b"B,C"]).symbols == ("A", "B", "C")
    assert query(symbols=b"").symbols == ()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"after": b"x"}, "after of the query: Expected `int`, got `str`"),
        ({"after": [b"1", b"2"]}, "The query has after once, not: '1&2'"),
        ({"after": b""}, "after of the query: Expected `int`, got `str`"),
    ],
)
def test_a_key_that_cannot_be_read_is_named(given, sentence):
    with pytest.raises(WireError) as refused:
        query(**given)
    assert (refused.value.code, str(refused.value)) == ("field", sentence)


@pytest.mark.parametrize("text", [b"nan", b"inf", b"-Infinity", b"NaN"])
def test_what_is_no_number_is_none_as_a_text_either(text):
    with pytest.raises(WireError, match="A number is finite"):
        query(wait=text)
    with pytest.raises(WireError, match="A number is finite"):
        body(b'{"waits": [1, "%b"]}' % text, Waits)
    assert body(b'{"symbol": "%b", "volume": "1"}' % text).symbol == text.decode()


TEXT = '{"symbol": "GBPUSD", "volume": 0.25, "comment": "a&b=c+d"}'
FOUND = Position("GBPUSD", "0.25", 0, "a&b=c+d")


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode() + b"\0",
        b"\xef\xbb\xbf" + TEXT.encode(),
        b"\r\n " + TEXT.encode() + b"\r\n",
        quote(TEXT).encode(),
        urlencode({"data": TEXT}).encode(),
        urlencode({"json": TEXT}).encode() + b"&x=1\0",
        b"data=" + TEXT.encode(),
    ],
)
def test_json_is_taken_as_terminals_send_it(data):
    assert body(data) == FOUND


def test_only_one_nul_is_dropped():
    with pytest.raises(WireError, match="The body is JSON"):
        body(TEXT.encode() + b"\0\0")
    assert read_body(route(body=Content()), b"a\0", "cp1252") == b"a\0"


def test_bytes_that_are_not_utf_8_are_read_in_the_code_page():
    assert body(b'{"symbol": "\xc4", "volume": "1"}').symbol == "Ä"
    assert body('{"symbol": "Ä", "volume": "1"}'.encode()).symbol == "Ä"


def test_an_empty_body_is_an_empty_object():
    assert body(b"", Positions) == body(b"\0", Positions) == Positions()
    with pytest.raises(WireError, match="missing required field `symbol`"):
        body(b"")


@pytest.mark.parametrize(
    ("number", "text"),
    [("0.1", "0.1"), ("1e-5", "0.00001"), ("-0.30000000000000004", "-0.30000000000000004"),
     ("9007199254740991", "9007199254740991"), ("1.0", "1"), ("5", "5")],
)  # fmt: skip
def test_a_number_where_a_text_belongs_is_its_shortest_text(number, text):
    assert body(f'{{"symbol": "A", "volume": {number}}}'.encode()).volume == text


def test_null_is_an_absent_field():
    assert body(b'{"symbol": "A", "volume": "1", "time": null}') == Position("A", "1")


@pytest.mark.parametrize(
    "data",
    [
        b'{"symbol": "A", "volume": NaN}',
        b'{"symbol": "A", "volume": 1e999}',
        b'{"symbol": "A", "volume": 9007199254740993}',
        b'{"symbol": "A", "symbol": "B", "volume": "1"}',
        b'{"symbol": "\\ud800", "volume": "1"}',
        b'{"symbol": "A", "volume": "1", "x": ["\\udfff"]}',
        b'{"symbol": "A", "volume": "1", "\\udfff": 1}',
        b'{"symbol": true, "volume": "1"}',
        b'{"symbol": null, "volume": "1"}',
        b'["A", "1"]',
        b'"A"',
        b"[" * 100_000,
        b"{",
        b"symbol=A&volume=1",
        b"\xff\xfe{\0}\0",
        b'{"symbol": "A", "volume": "1", "time": 1.5}',
        b'{"symbol": "A", "volume": "1", "time": "x"}',
    ],
)
def test_what_cannot_be_meant_is_refused_with_field(data):
    with pytest.raises(WireError) as refused:
        body(data)
    assert refused.value.code == "field"


def test_the_place_of_a_fault_is_named():
    with pytest.raises(WireError) as refused:
        body(b'{"positions": [{"symbol": "A", "volume": "1"}, {"symbol": "B"}]}', Positions)
    sentence = "positions[1] of the body: Object missing required field `volume`"
    assert str(refused.value) == sentence


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    for kind in (Position, Positions, list[Decimal]):
        with suppress(WireError):
            body(data, kind)


@given(
    st.dictionaries(
        st.sampled_from(["symbol", "volume", "time", "comment", "x"]),
        st.none() | st.text() | st.booleans() | st.floats() | st.integers() | st.lists(st.text()),
    )
)
def test_any_object_is_read_or_refused(value):
    with suppress(WireError):
        body(json.dumps(value).encode()).symbol.encode()
