"""Field types and values of signals."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import WireError
from mtnet.services.signals import values
from mtnet.services.signals.values import parse_volume
from mtnet.session.classic import parse_position
from mtnet.session.fields import FieldType
from mtnet.session.grammar import Message

GOOD = {
    "HASH": ["00000000", "89abcdef"],
    "CHANNELS": ["main", "gold,main"],
    "PAUSE_MODE": ["close_only", "frozen"],
    "TAKE": ["0", "1", "free"],
    "TICKET": ["1", "18446744073709551615", "x" * 32],
    "TIME": ["0", "1760000000000"],
    "PRICE": ["1.09870", "-37.63", "1e5", "1.5E-10", "9.3e-005", "0"],
    "VOLUME": ["0.25", "-1", "-0", "99999999.99999", "+1", "0.30000000000000004"],
    "KIND": ["position", "buy_limit", "sell_stop_limit"],
    "STATUS": ["filled", "failed", "released"],
    "PRESENCE": ["up", "down"],
    "MAGIC": ["0", "-9223372036854775808", "18446744073709551615"],
    "EPOCH": ["0123456789abcdef", "0123456789ABCDEF"],
    "SEQS": ["main:43", "main:43,gold:7"],
    "COMMENT": ["", "x" * 100, "\ufffd\n"],
}
BAD = {
    "HASH": ["", "0123456", "012345678", "0123456g"],
    "CHANNELS": ["", "main,", "main, gold", "é"],
    "PAUSE_MODE": ["", "on"],
    "TAKE": ["", "yes", "2", "FREE"],
    "TICKET": ["", "x" * 33, "-1 "],
    "TIME": ["", "-1", "now"],
    "PRICE": ["", "nan", "inf", "1,5", "+1", ".5", "1.", "1" * 13, "1.5e4444", "1e999"],
    "VOLUME": ["", "1e5", "1.123456", "nan"],
    "KIND": ["", "buy", "Position", "positions"],
    "STATUS": ["", "FILLED", "done"],
    "PRESENCE": ["", "UP", "1"],
    "MAGIC": ["", "-9223372036854775809", "18446744073709551616", "1.0", "x"],
    "EPOCH": ["", "0" * 15, "0" * 17, "0" * 15 + "g", "0" * 15 + "\n"],
    "SEQS": ["", "main", "main:", "main:x", "main:1,", "a b:1", "main:1,main:2"],
    "COMMENT": ["x" * 101],
}


def table(named):
    return [(name, text) for name, texts in named.items() for text in texts]


@pytest.mark.parametrize(("name", "text"), table(GOOD))
def test_a_value_is_read(name, text):
    assert Message("PING", {"x": text}).get("x", getattr(values, name)) is not None


@pytest.mark.parametrize(("name", "text"), table(BAD))
def test_a_value_is_refused_with_what_would_have_been_right(name, text):
    type = getattr(values, name)
    with pytest.raises(WireError) as caught:
        Message("PING", {"x": text}).get("x", type)
    assert caught.value.code == "field"
    assert str(caught.value).startswith(f"In PING x is {type.expected}")


def test_every_type_is_tried():
    types = {name for name, each in vars(values).items() if isinstance(each, FieldType)}
    assert types - {"CHANNEL"} == GOOD.keys() == BAD.keys()


@given(st.text(max_size=40))
def test_any_text_is_a_value_or_none(text):
    for name in GOOD:
        getattr(values, name).read(text)


def test_values_keep_what_was_sent():
    assert values.VOLUME.read("0.250").as_tuple() == Decimal("0.250").as_tuple()
    assert str(values.VOLUME.read("-0.00")) == "0"
    assert values.PRICE.read("1.09870") == "1.09870"
    assert values.PRICE.read("512.0599999999999") == "512.06"
    assert values.EPOCH.read("0123456789ABCDEF") == "0123456789abcdef"
    assert values.SEQS.read("main:43,gold:7") == {"main": 43, "gold": 7}


@pytest.mark.parametrize("text", ["", "nan", "1,5", "0.6333333333333334"])
def test_what_is_no_volume_is_refused(text):
    with pytest.raises(WireError, match="A volume is lots") as caught:
        parse_volume(text)
    assert caught.value.code == "volume"


@pytest.mark.parametrize("text", ["", "A" * 33, " A", "A\0B"])
def test_what_is_no_symbol_is_refused(text):
    with pytest.raises(WireError, match="A symbol has 1 to 32 printable") as caught:
        parse_position(f"{text}|1".encode())
    assert caught.value.code == "symbol"
