"""Who is told a tick, and how often."""

import re
from collections import Counter

import pytest
from fakes.rights import rights
from hypothesis import given
from hypothesis import strategies as st

from mtnet.services.ticks.fanout.chunks import MAX_WAITING, Conflation
from mtnet.services.ticks.fanout.feed import Feed
from mtnet.services.ticks.wire import EVERYTHING, encode_tick

EURUSD, GBPUSD, XAUUSD = b"EURUSD", b"GBPUSD", b"XAUUSD"
LINE = re.compile(rb"TICK: (\S+) (\S+)(?: \S+){5} ([0-9]+)(?: ~([0-9]+))?\r\n")

SYMBOLS = st.sampled_from([EURUSD, GBPUSD, XAUUSD])
OFFERS = st.lists(SYMBOLS, max_size=30)


class Notes:
    """A subscriber that writes down what it is sent."""

    rights, ready, next = rights("read:ticks"), True, 0

    def __init__(self, encode=encode_tick):
        self.lines, self.writes, self.encode = [], [], encode

    def on_last(self, symbol, rest, when):
        self._note(self.encode(symbol, rest, when, 0))

    def write(self, data):
        self.writes.append(data)
        self._note(data)

    def flush_delay(self):
        return 0.0

    def offer(self, ticks):
        raise AssertionError("it was ready")

    def flush(self):
        """Nothing waits."""

    def _note(self, data):
        for symbol, bid, when, skipped in LINE.findall(data):
            self.lines.append(b" ".join([symbol, bid, when, skipped]).decode().rstrip())


def publish(feed, *bursts):
    """Publish bursts of records, which came at 9, in one turn."""
    for records in bursts:
        feed.publish(records, 9)
    assert len(list(feed.deliver())) <= len(feed.subscribers) * 2
    assert not feed.has_waiting


@pytest.fixture
def feed():
    """A feed that knows a tick of EURUSD and one of GBPUSD, and none of XAUUSD."""
    return Feed({EURUSD: (b"1.1", 5), GBPUSD: (b"1.3", 7)}.get)


def subscribed(feed, *symbols):
    """Subscribe somebody who was told the newest already."""
    notes = Notes()
    feed.subscribe(notes, symbols, [EURUSD, GBPUSD])
    notes.lines.clear()
    notes.writes.clear()
    return notes


def test_a_subscriber_is_told_the_newest_tick_at_once_and_then_every_one(feed):
    notes = Notes()
    feed.subscribe(notes, [GBPUSD], [])
    assert notes.lines == ["GBPUSD 1.3 7"]
    publish(feed, [(GBPUSD, b"1.4"), (EURUSD, b"1.2"), (GBPUSD, b"1.5")])
    assert notes.lines[1:] == ["GBPUSD 1.4 9", "GBPUSD 1.5 9"]


def test_a_tick_is_encoded_once_for_all_that_are_sent_the_same(feed):
    encoded = []

    def short(symbol, rest, when, skipped):
        encoded.append(rest)
        return b"%b %b;" % (symbol, rest)

    subscribers = one, same, less, other = Notes(short), Notes(short), Notes(short), Notes()
    for each, symbol in zip(subscribers, [EVERYTHING, EVERYTHING, XAUUSD, XAUUSD], strict=True):
        feed.subscribe(each, [symbol], [])
    publish(feed, [(XAUUSD, b"1"), (EURUSD, b"2")], [(XAUUSD, b"3")])
    assert one.writes == [b"XAUUSD 1;EURUSD 2;XAUUSD 3;"]
    assert one.writes[0] is same.writes[0]
    assert less.writes == [b"XAUUSD 1;XAUUSD 3;"]
    assert other.lines == ["XAUUSD 1 9", "XAUUSD 3 9"]
    assert encoded == [b"1", b"2", b"3"]


def test_a_symbol_that_nobody_sent_yet_is_told_from_its_first_tick_on(feed):
    notes = Notes()
    feed.subscribe(notes, [XAUUSD], [])
    assert notes.lines == []
    publish(feed, [(XAUUSD, b"2000")])
    assert notes.lines == ["XAUUSD 2000 9"]


def test_everything_is_every_symbol_those_that_come_later_included(feed):
    notes = Notes()
    feed.subscribe(notes, [EVERYTHING], [EURUSD, GBPUSD])
    assert notes.lines == ["EURUSD 1.1 5", "GBPUSD 1.3 7"]
    publish(feed, [(XAUUSD, b"2000"), (EURUSD, b"1.2")])
    assert notes.lines[2:] == ["XAUUSD 2000 9", "EURUSD 1.2 9"]


def test_a_subscriber_to_a_symbol_and_to_all_gets_each_tick_once(feed):
    notes = subscribed(feed, EURUSD, EVERYTHING)
    publish(feed, [(EURUSD, b"1.2")])
    assert notes.lines == ["EURUSD 1.2 9"]


def test_a_repeated_subscription_delivers_each_tick_once(feed):
    notes = subscribed(feed, EURUSD)
    feed.subscribe(notes, [EURUSD, EURUSD], [])
    publish(feed, [(EURUSD, b"1.2")])
    assert notes.lines == ["EURUSD 1.2 9"]


def test_a_subscription_adds_to_the_one_before(feed):
    notes = subscribed(feed, EURUSD)
    feed.subscribe(notes, [GBPUSD], [])
    assert notes.lines == ["GBPUSD 1.3 7"]
    publish(feed, [(EURUSD, b"1.2"), (GBPUSD, b"1.4")])
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
    publish(feed, [(EURUSD, b"1.2"), (GBPUSD, b"1.4")])
    assert notes.lines == got


def test_a_symbol_can_be_subscribed_again_after_unsubscribing(feed):
    notes = subscribed(feed, EURUSD)
    feed.unsubscribe(notes, [EURUSD])
    feed.subscribe(notes, [EURUSD], [])
    publish(feed, [(EURUSD, b"1.2")])
    assert notes.lines == ["EURUSD 1.1 5", "EURUSD 1.2 9"]


def test_unsubscribing_from_all_removes_one_subscriber_only(feed):
    leaving, staying = subscribed(feed, EURUSD), subscribed(feed, EURUSD)
    feed.unsubscribe(leaving, [EVERYTHING])
    assert list(feed.subscribers) == [staying]
    publish(feed, [(EURUSD, b"1.2")])
    assert (leaving.lines, staying.lines) == ([], ["EURUSD 1.2 9"])


def test_a_client_without_a_subscription_can_leave(feed):
    feed.unsubscribe(Notes(), [EVERYTHING, EURUSD])
    assert feed.subscribers == {}


def test_ticks_of_one_turn_are_sent_together_and_to_nobody_else(feed):
    one, other = subscribed(feed, EVERYTHING), subscribed(feed, XAUUSD)
    publish(feed, [(EURUSD, b"1.2"), (GBPUSD, b"1.4")], [(EURUSD, b"1.3")])
    assert (len(one.writes), len(other.writes)) == (1, 0)


def test_a_subscriber_gets_what_waits_before_its_subscription_changes(feed):
    notes = subscribed(feed, EURUSD, GBPUSD)
    feed.publish([(EURUSD, b"1.2"), (GBPUSD, b"1.4")], 9)
    feed.unsubscribe(notes, [EURUSD])
    assert notes.lines == ["EURUSD 1.2 9", "GBPUSD 1.4 9"]
    publish(feed, [(EURUSD, b"1.3"), (GBPUSD, b"1.5")])
    assert notes.lines[2:] == ["GBPUSD 1.5 9"]


def test_a_new_subscriber_gets_no_tick_that_came_before_it(feed):
    first = subscribed(feed, XAUUSD)
    feed.publish([(XAUUSD, b"1")], 9)
    second = subscribed(feed, XAUUSD)
    publish(feed, [(XAUUSD, b"2")])
    assert (first.lines, second.lines) == (["XAUUSD 1 9", "XAUUSD 2 9"], ["XAUUSD 2 9"])


def test_one_that_leaves_gets_nothing_more(feed):
    notes = subscribed(feed, XAUUSD)
    feed.publish([(XAUUSD, b"1")], 9)
    feed.leave(notes)
    publish(feed, [(XAUUSD, b"2")])
    assert notes.lines == []


def test_a_feed_that_is_behind_conflates_for_all_at_once(feed):
    one, other = subscribed(feed, EVERYTHING), subscribed(feed, EURUSD)
    for at in range(MAX_WAITING + 10):
        feed.publish([(EURUSD, b"%d" % at), (GBPUSD, b"1.4")], 9)
    assert len(list(feed.deliver())) <= 4
    assert sum(map(told, one.lines)) == 2 * (MAX_WAITING + 10)
    assert sum(map(told, other.lines)) == MAX_WAITING + 10
    assert one.lines[-2].startswith(f"EURUSD {MAX_WAITING + 9} ")
    assert len(one.lines) <= MAX_WAITING


def told(line):
    """Return how many ticks a line stands for."""
    return 1 + int([*line.split(), "0"][3])


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
