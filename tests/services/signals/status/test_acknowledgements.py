"""How fast a follower acknowledges, and at which prices."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from mtnet.services.signals.model import Entry
from mtnet.services.signals.status import fills as module
from mtnet.services.signals.status.acknowledgements import AckHistory
from mtnet.services.signals.status.fills import ChannelFills, SignalFills
from mtnet.services.signals.wire.requests import Ack

NOON = 1_700_000_000_000


@pytest.fixture
def fills():
    return ChannelFills()


@pytest.fixture
def acks(fills):
    return AckHistory(fills)


def entry(seq, when=NOON, h="aaaaaaaa", price="1.10000"):
    return Entry("gold", "EURUSD", Decimal("0.5"), when, seq=seq, h=h, fields=(("price", price),))


def note(acks, seq, status="filled", took=40, price=None, who="bob", since=NOON, **more):
    given = entry(seq, **more)
    acks.note(Ack("gold", seq, status, price), given, who, since, given.when + took)


def shown(fills):
    return [(each.seq, each.filled, each.failed, [*map(_fill, each.fills)]) for each in fills]


def _fill(fill):
    return fill.who, fill.price


def test_the_latency_is_from_the_disk_to_the_acknowledgement(acks):
    for seq, took in enumerate((40, 50, 900), 1):
        note(acks, seq, took=took)
    assert acks.latency == (50, 900)


def test_what_was_stored_before_a_follower_came_says_nothing_of_its_speed(acks):
    note(acks, 1, took=3_600_000, since=NOON + 3_599_000)
    assert acks.latency is None


def test_the_first_answer_to_a_signal_counts(acks, fills):
    note(acks, 1, "failed", took=40)
    note(acks, 1, "filled", took=9_000, price="1.10020")
    note(acks, 1, "filled", took=99_000, price="1.10020")
    assert acks.latency == (40, 40)
    assert shown(fills) == [(1, 1, 1, [("bob", "1.10020")])]


def test_a_copy_that_is_gone_is_no_fill(acks, fills):
    note(acks, 1, "released", price="1.2")
    assert (acks.latency, shown(fills)) == (None, [])


def test_the_fills_of_all_followers_stand_with_the_price_of_the_provider(fills):
    for who, price in (("bob", "1.10010"), ("carol", "1.10030")):
        note(AckHistory(fills), 7, who=who, price=price)
    (found,) = fills
    assert (found.symbol, found.volume, found.price, found.stored) == (
        "EURUSD", "0.5", "1.10000", NOON,
    )  # fmt: skip
    assert shown(fills) == [(7, 2, 0, [("bob", "1.10010"), ("carol", "1.10030")])]


def test_of_many_followers_the_first_are_named_and_all_are_counted(fills, monkeypatch):
    monkeypatch.setattr(module, "NAMED", 2)
    for number in range(5):
        note(AckHistory(fills), 1, who=f"f{number}", price="1.1")
    assert shown(fills) == [(1, 5, 0, [("f0", "1.1"), ("f1", "1.1")])]


def test_the_oldest_signal_makes_room(acks, fills, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 2)
    for seq in range(1, 5):
        note(acks, seq)
    assert [each.seq for each in fills] == [3, 4]


SAID = st.tuples(
    st.integers(1, 6), st.sampled_from(["filled", "failed"]), st.sampled_from([None, "1.1"])
)


@given(st.lists(st.one_of(st.none(), SAID)))
def test_fills_as_json_are_those_of_now_whenever_somebody_asks(steps):
    fills = ChannelFills()
    for number, step in enumerate([*steps, None]):
        if step is not None:
            seq, status, price = step
            note(AckHistory(fills), seq, status, price=price, who=f"f{number}")
        else:
            told = json.decode(json.encode(fills.encoded()), type=list[SignalFills])
            assert told == sorted(fills, key=lambda each: each.seq)


def test_of_fills_those_alone_are_encoded_anew_that_have_changed(fills):
    for seq in (1, 2):
        note(AckHistory(fills), seq)
    before = fills.encoded()
    note(AckHistory(fills), 2)
    assert [new is old for new, old in zip(fills.encoded(), before, strict=True)] == [True, False]


def test_a_new_epoch_has_signals_of_its_own(fills):
    note(AckHistory(fills), 1, price="1.1")
    note(AckHistory(fills), 1, h="bbbbbbbb", price="2.2")
    assert [[*map(_fill, each.fills)] for each in fills] == [[("bob", "1.1")], [("bob", "2.2")]]


def test_a_connection_that_ends_forgets_how_fast_it_was(acks):
    note(acks, 1)
    acks.leave()
    assert acks.latency is None
