"""Field types of the session dialect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import WireError
from mtnet.session import fields
from mtnet.session.fields import FieldType
from mtnet.session.grammar import Message

GOOD = {
    "CHANNEL": ["main", "A.b_c-9", "x" * 32],
    "ID": ["1", "2026.10.01-1_a", "x" * 64],
    "NUMBER": ["0", "007", "9223372036854775807"],
    "INTEGER": ["0", "-3", "9223372036854775807"],
    "SECONDS": ["5", "0.5"],
    "SERVICES": ["", "signals", "signals,a_2"],
    "SYMBOL": ["EURUSD", "US.500 #1", "ЗОЛОТО", "A,B", "@ES", "x" * 32],
    "SYMBOLS": ["EURUSD", "EURUSD,GBPUSD", "EURUSD, GBPUSD"],
    "FLAG": ["0", "1"],
    "TEXT": ["", "x" * 100],
    "LOGIN": ["", "x" * 100],
    "PASSWORD": ["", "x" * 128],
}
BAD = {
    "CHANNEL": ["", "x" * 33, "a b", "é", "a\n", "a:b"],
    "ID": ["", "x" * 65, "a|b", "a\n"],
    "NUMBER": ["", "-1", "+1", "1.0", "9223372036854775808", "1" * 20, "٣", "1_0", "1\n", "0x1"],
    "INTEGER": ["", "-", "--1", "+1", "1.0", "-9223372036854775808", "-٣"],
    "SECONDS": ["", "-5", "nan", "1e3"],
    "SERVICES": [",", "A", "signals,", "2a", "a b"],
    "SYMBOL": ["", "x" * 33, "A|B", "A<B", "A\0", " A", "\ufffd"],
    "SYMBOLS": ["", ",", "EURUSD,", "EURUSD,,GBPUSD", "A|B,C"],
    "FLAG": ["", "2", "true", "01"],
    "TEXT": ["x" * 101],
    "LOGIN": ["x" * 101, "\ufffd"],
    "PASSWORD": ["x" * 129, "\ufffd"],
}


def table(named):
    return [(name, text) for name, texts in named.items() for text in texts]


@pytest.mark.parametrize(("name", "text"), table(GOOD))
def test_a_value_is_read(name, text):
    assert Message("PING", {"x": text}).get("x", getattr(fields, name)) is not None


@pytest.mark.parametrize(("name", "text"), table(BAD))
def test_a_value_is_refused_with_what_would_have_been_right(name, text):
    type = getattr(fields, name)
    with pytest.raises(WireError) as caught:
        Message("PING", {"x": text}).get("x", type)
    assert caught.value.code == "field"
    assert str(caught.value).startswith(f"In PING x is {type.expected}")


def test_every_type_is_tried():
    types = {name for name, each in vars(fields).items() if isinstance(each, FieldType)}
    assert types - {"ANY"} == GOOD.keys() == BAD.keys()


def test_blanks_behind_the_commas_of_a_list_do_not_count():
    assert fields.SYMBOLS.read("EURUSD, US 500") == {"EURUSD", "US 500"}


@given(st.text(max_size=40))
def test_any_text_is_a_value_or_none(text):
    for name in GOOD:
        getattr(fields, name).read(text)
