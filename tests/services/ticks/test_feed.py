"""Who is told a tick, and how often."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.services.ticks.feed import EVERYTHING, Conflation, Feed
from mtnet.services.ticks.wire import encode_tick

EURUSD, GBPUSD, XAUUSD = b"EURUSD", b"GBPUSD", b"XAUUSD"
LINE = re.compile(rb"TICK: (\S+) (\S+)(?: \S+){5} ([0-9]+)(?: ~([0-9]+))?\r\n")

SYMBOLS = st.sampled_from([EURUSD, GBPUSD, XAUUSD])
OFFERS = st.lists(SYMBOLS, max_size=30)


class Notes:
    """A subscriber that writes down what it is told."""

    def __init__(self, encode=encode_tick):
        self.lines, self.flushes, self.encode = [], 0, encode

    def on_last(self, symbol, rest, when):
        self.on_tick(symbol, self.encode(symbol, rest, when, 0), rest, when)

    def on_tick(self, symbol, line, rest, when):
        assert line == self.encode(symbol, rest, when, 0)
        self.lines.append(f"{symbol.decode()} {rest.decode()} {when}")

    def flush(self):
        self.flushes += 1


@pytest.fixture
def feed():
    """A feed that knows a tick of EURUSD and one of GBPUSD, and none of XAUUSD."""
    return Feed({EURUSD: (b"1.1", 5), GBPUSD: (b"1.3", 7)}.get)


def subscribed(feed, *symbols):
    """Subscribe somebody who was told the newest already."""
    notes = Notes()
    feed.subscribe(notes, symbols, [EURUSD, GBPUSD])
    notes.lines.clear()
    notes.flushes = 0
    return notes


def test_a_subscriber_is_told_the_newest_tick_at_once_and_then_every_one(feed):
    notes = Notes()
    feed.subscribe(notes, [GBPUSD], [])
    assert (notes.lines, notes.flushes) == (["GBPUSD 1.3 7"], 1)
    feed.publish([(GBPUSD, b"1.4"), (EURUSD, b"1.2"), (GBPUSD, b"1.5")], 9)
    assert notes.lines[1:] == ["GBPUSD 1.4 9", "GBPUSD 1.5 9"]


class Lines(Notes):
    """A subscriber that keeps what it is sent."""

    def on_tick(self, symbol, line, rest, when):
        self.lines.append(line)


def test_a_tick_is_encoded_once_for_all_that_are_sent_the_same(feed):
    def short(symbol, rest, when, skipped):
        return b"%b %b" % (symbol, rest)

    one, same, other = Lines(short), Lines(short), Lines()
    for each in (one, same, other):
        feed.subscribe(each, [XAUUSD], [])
    feed.publish([(XAUUSD, b"1"), (XAUUSD, b"2")], 9)
    assert one.lines == [b"XAUUSD 1", b"XAUUSD 2"]
    assert all(mine is its for mine, its in zip(one.lines, same.lines, strict=True))
    assert other.lines[0] == b"TICK: XAUUSD 1 - - - - - 9\r\n"


def test_a_symbol_that_nobody_sent_yet_is_told_from_its_first_tick_on(feed):
    notes = Notes()
    feed.subscribe(notes, [XAUUSD], [])
    assert notes.lines == []
    feed.publish([(XAUUSD, b"2000")], 9)
    assert notes.lines == ["XAUUSD 2000 9"]


def test_everything_is_every_symbol_those_that_come_later_included(feed):
    notes = Notes()
    feed.subscribe(notes, [EVERYTHING], [EURUSD, GBPUSD])
    assert notes.lines == ["EURUSD 1.1 5", "GBPUSD 1.3 7"]
    feed.publish([(XAUUSD, b"2000"), (EURUSD, b"1.2")], 9)
    assert notes.lines[2:] == ["XAUUSD 2000 9", "EURUSD 1.2 9"]


def test_a_subscriber_to_a_symbol_and_to_all_gets_each_tick_once(feed):
    notes = subscribed(feed, EURUSD, EVERYTHING)
    feed.publish([(EURUSD, b"1.2")], 9)
    assert notes.lines == ["EURUSD 1.2 9"]


def test_a_repeated_subscription_delivers_each_tick_once(feed):
    notes = subscribed(feed, EURUSD)
    feed.subscribe(notes, [EURUSD, EURUSD], [])
    feed.publish([(EURUSD, b"1.2")], 9)
    assert notes.lines == ["EURUSD 1.2 9"]


def test_a_subscription_adds_to_the_one_before(feed):
    notes = subscribed(feed, EURUSD)
    feed.subscribe(notes, [GBPUSD], [])
    assert notes.lines == ["GBPUSD 1.3 7"]
    feed.publish([(EURUSD, b"1.2"), (GBPUSD, b"1.4")], 9)
    assert notes.lines[1:] == ["EURUSD 1.2 9", "GBPUSD 1.4 9"]


@pytest.mark.parametrize(
    ("asked", "given_up", "got"),
    [
        ([EURUSD, GBPUSD], [EURUSD], ["GBPUSD 1.4 9"]),
        ([EURUSD, GBPUSD], [EURUSD, EURUSD], ["GBPUSD 1.4 9"]),
        ([EURUSD, GBPUSD], [XAUUSD], ["EURUSD 1.2 9", "GBPUSD 1.4 9"]),
        ([EURUSD, GBPUSD], [EVERYTHING], []),
        ([EURUSD, EVERYTHING], [EVERYTHING], []),
        ([EURUSD, EVERYTHING], [EURUSD], ["EURUSD 1.2 9", "GBPUSD 1.4 9"]),
    ],
)
def test_unsubscribing_from_a_symbol_leaves_the_others(feed, asked, given_up, got):
    notes = subscribed(feed, *asked)
    feed.unsubscribe(notes, given_up)
    feed.publish([(EURUSD, b"1.2"), (GBPUSD, b"1.4")], 9)
    assert notes.lines == got


def test_a_symbol_can_be_subscribed_again_after_unsubscribing(feed):
    notes = subscribed(feed, EURUSD)
    feed.unsubscribe(notes, [EURUSD])
    feed.subscribe(notes, [EURUSD], [])
    feed.publish([(EURUSD, b"1.2")], 9)
    assert notes.lines == ["EURUSD 1.1 5", "EURUSD 1.2 9"]


def test_unsubscribing_from_all_removes_one_subscriber_only(feed):
    leaving, staying = subscribed(feed, EURUSD), subscribed(feed, EURUSD)
    feed.unsubscribe(leaving, [EVERYTHING])
    assert list(feed.subscribers) == [staying]
    feed.publish([(EURUSD, b"1.2")], 9)
    assert (leaving.lines, staying.lines) == ([], ["EURUSD 1.2 9"])


def test_a_client_without_a_subscription_can_leave(feed):
    feed.unsubscribe(Notes(), [EVERYTHING, EURUSD])
    assert feed.subscribers == {}


def test_ticks_that_come_together_are_passed_on_together_and_to_nobody_else(feed):
    one, other = subscribed(feed, EVERYTHING), subscribed(feed, XAUUSD)
    feed.publish([(EURUSD, b"1.2"), (GBPUSD, b"1.4"), (EURUSD, b"1.3")], 9)
    assert (one.flushes, other.flushes) == (1, 0)


# Conflation


@given(st.lists(OFFERS | st.integers(0, 200), max_size=20))
def test_told_and_skipped_are_what_was_offered_and_the_last_told_is_the_newest(steps):
    behind, offered, counted = Conflation(), Counter(), Counter()
    newest, last = {}, {}

    def note(lines):
        assert LINE.sub(b"", lines) == b""
        for symbol, rest, when, skipped in LINE.findall(lines):
            assert (rest, int(when)) == newest[symbol], "an older one was told"
            assert symbol in owing
            owing.discard(symbol)
            counted[symbol] += 1 + int(skipped or 0)
            last[symbol] = rest, int(when)

    number, owing = 0, set()
    for step in [*steps, 1_000_000]:
        if isinstance(step, int):
            note(behind.take(step))
            continue
        for symbol in step:
            number += 1
            newest[symbol] = b"%d" % number, 10**12 + number
            behind.offer(symbol, *newest[symbol])
            offered[symbol] += 1
            owing.add(symbol)
        assert bool(behind) is bool(owing)
    assert counted == offered
    assert last == newest
    assert not behind


def test_the_symbol_that_waits_longest_comes_first_however_often_it_changed():
    behind = Conflation()
    for symbol in (EURUSD, GBPUSD, EURUSD):
        behind.offer(symbol, b"1", 5)
    assert behind.take(1) == b"TICK: EURUSD 1 - - - - - 5 ~1\r\n"
    assert behind.take(1) == b"TICK: GBPUSD 1 - - - - - 5\r\n"


def test_no_more_lines_are_taken_than_there_is_room_for():
    behind = Conflation()
    for number in range(100):
        behind.offer(b"S%02d" % number, b"1", 5)
    line = len(b"TICK: S00 1 - - - - - 5\r\n")
    assert len(behind.take(10 * line)) == 10 * line
    assert len(behind.take(10**6)) == 90 * line
