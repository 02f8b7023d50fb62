"""What stands behind the word of a condition of an alert."""

from decimal import Decimal

import pytest

from mtnet.conditions import SECONDS, Condition, read_condition
from mtnet.errors import ConfigError

EXAMPLE = "follower_behind gold > 30s"


def read(text, units=("", *SECONDS), **more):
    return read_condition("follower_behind", text, units, EXAMPLE, **more)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("> 100", Condition("", ">", Decimal(100))),
        (">100", Condition("", ">", Decimal(100))),
        ("gold > 30s", Condition("gold", ">", Decimal(30), "s")),
        ("gold/bob > 1.5 min", Condition("gold/bob", ">", Decimal("1.5"), "min")),
    ],
)
def test_a_subject_and_a_limit_are_read(text, condition):
    assert read(text) == condition


@pytest.mark.parametrize(
    "text", ["", "gold", "> x", "> -1", "> 30y", "two words > 1", "> 1 > 2", ">= 1", "> 1e9"]
)
def test_anything_else_is_answered_by_a_right_example(text):
    with pytest.raises(ConfigError, match=f"Example: {EXAMPLE}"):
        read(text)


def test_a_limit_can_be_left_out_where_there_is_a_default():
    assert read("gold", optional=True) == Condition("gold")


def test_a_duration_is_milliseconds_and_a_number_is_compared():
    assert read("> 1.5 min").milliseconds == 90_000
    assert [read("> 5").holds(each) for each in (5, 6)] == [False, True]
    low = read("EURUSD <= 1.1", ("",), operators=("<=",))
    assert low.holds(Decimal("1.10"))
