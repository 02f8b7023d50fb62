"""Positions and who sets them."""

from decimal import Decimal

import pytest

from mtnet.errors import WireError
from mtnet.signals.book import Book, Change, Claims, is_reduction, latest


def change(symbol="GBPUSD", volume="1", when=0, channel="main"):
    return Change(channel, symbol, Decimal(volume), when)


def test_a_change_names_the_volume_that_it_replaced():
    book = Book()
    assert book.apply(change(volume="1")).previous is None
    assert book.apply(change(volume="2")).previous == 1


def test_a_flat_symbol_is_known_until_it_expires():
    book = Book()
    book.apply(change("GBPUSD", "0", when=1_000))
    book.apply(change("EURUSD", "1", when=1_000))
    book.expire(1_000)
    assert book.volume("main", "GBPUSD") == 0
    book.expire(1_001)
    assert book.volume("main", "GBPUSD") is None
    assert book.volume("main", "EURUSD") == 1


def test_channels_do_not_share_symbols():
    book = Book()
    book.apply(change(channel="gold"))
    assert book.volume("main", "GBPUSD") is None


@pytest.mark.parametrize(
    ("before", "after", "reduction"),
    [
        ("1", "0", True),
        ("1", "0.5", True),
        ("1", "-0.5", True),
        ("-1", "-0.5", True),
        ("-1", "2", True),
        ("1", "2", False),
        ("0", "1", False),
        ("-1", "-2", False),
        (None, "0", True),
        (None, "1", False),
    ],
)
def test_closing_any_lots_is_a_reduction(before, after, reduction):
    known = None if before is None else Decimal(before)
    assert is_reduction(known, Decimal(after)) is reduction


def test_of_several_changes_the_last_of_each_symbol_counts():
    changes = [change("A", "1"), change("B", "1"), change("A", "2")]
    assert latest(changes) == [change("B", "1"), change("A", "2")]


def test_the_newest_publisher_takes_a_symbol_over_and_the_older_is_told_why():
    claims = Claims()
    older, newer = claims.join(), claims.join()
    claims.take(older, "main", "GBPUSD")
    claims.take(newer, "main", "GBPUSD")
    with pytest.raises(WireError, match="A newer publisher sets GBPUSD") as caught:
        claims.take(older, "main", "GBPUSD")
    assert caught.value.code == "fenced"
    claims.take(older, "main", "EURUSD")


def test_a_symbol_is_free_again_when_its_owner_leaves():
    claims = Claims()
    older, newer = claims.join(), claims.join()
    claims.take(newer, "main", "GBPUSD")
    claims.leave(newer)
    claims.take(older, "main", "GBPUSD")
    assert claims.live == 1
