"""Every tick is sent or counted as skipped, to each subscriber, whatever happens meanwhile."""

import os
import re
from collections import Counter

import pytest
from fakes.rights import rights
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from mtnet.net.output.queue import OutputBuffer
from mtnet.services.ticks.fanout import chunks
from mtnet.services.ticks.fanout.feed import Feed
from mtnet.services.ticks.fanout.scheduler import MAX_WAIT, SLICE, FanoutScheduler
from mtnet.services.ticks.fanout.subscriber import ConflatingSubscriber
from mtnet.services.ticks.wire import EVERYTHING, encode_tick
from mtnet.testing import TerminalTransport

SYMBOLS = [b"EURUSD", b"GBPUSD", b"XAUUSD", b"US30"]
WHOLE, LIMITED = rights("read:ticks"), rights("read:ticks/EUR*", "read:ticks/US30")
LINE = re.compile(rb"(?:TICK: |)(\S+) ([0-9]+) .*?(?:~([0-9]+))?\r\n|MARK ([0-9]+)\r\n")
ROOM = 200
"""Bytes that wait for a subscriber before it lags."""


def short(symbol, rest, when, skipped):
    return b"%b %b ~%d\r\n" % (symbol, rest, skipped)


class Peer:
    def __init__(self, rights):
        self.rights = rights


class SlowTransport(TerminalTransport):
    """A transport to which each write takes time."""

    cost = 0.0

    def write(self, data):
        self._clock.rightNow += self.cost
        super().write(data)


class Client:
    """A subscriber, and the account of what it was sent."""

    def __init__(self, world, encode=encode_tick, rights=WHOLE):
        self.world, self.rights = world, rights
        self.transport = SlowTransport(world.clock, "127.0.0.1", "127.0.0.1")
        self.output = OutputBuffer(self.transport, world.clock, ROOM, self)
        self.subscriber = ConflatingSubscriber(self.output, Peer(rights), encode)
        self.symbols, self.marks = set(), []
        world.clock.advance(0)

    def drained(self):
        self.subscriber.flush()

    def ask(self, symbols):
        """Ask for these symbols in place of the former."""
        feed = self.world.feed
        feed.unsubscribe(self.subscriber, [EVERYTHING])
        lagged = self.subscriber.lags
        self.subscriber.keep(symbols)
        wanted = set(SYMBOLS) if EVERYTHING in symbols else set(symbols)
        wanted = {s for s in wanted if self.rights.may("read", "ticks", s.decode())}
        self.marks.append((wanted, lagged, Counter(self.world.sent)))
        self.output.write(b"MARK %d\r\n" % (len(self.marks) - 1))
        self.symbols = wanted
        if symbols:
            feed.subscribe(self.subscriber, symbols, [s for s in SYMBOLS if self.world.sent[s]])

    def check(self):
        """Each line stands for the ticks since the one before; at the end none is owed."""
        data = self.transport.value()
        assert LINE.sub(b"", data) == b""
        counted = {}
        for symbol, bid, skipped, mark in LINE.findall(data):
            if mark:
                counted = self.begin(counted, *self.marks[int(mark)])
                continue
            assert symbol in counted, "it was not asked for"
            assert int(bid) - int(skipped or 0) == counted[symbol] + 1
            counted[symbol] = int(bid)
        assert counted == {symbol: self.world.sent[symbol] for symbol in self.symbols}

    def begin(self, counted, wanted, lagged, sent):
        """Return what is counted of each symbol behind a change: its last tick is sent again."""
        for symbol, number in counted.items():
            assert lagged or number == sent[symbol], "what came before the change is missing"
        last = {symbol: max(0, sent[symbol] - 1) for symbol in wanted}
        return {symbol: min(last[symbol], counted.get(symbol, last[symbol])) for symbol in wanted}


class World:
    """Senders of ticks whose BID counts, and subscribers."""

    def __init__(self):
        self.clock, self.sent, self.backlog = Clock(), Counter(), False
        self.feed = Feed(self.newest)
        self.fanout = FanoutScheduler(self.feed, self.clock)
        self.fanout.add_backlog(lambda: self.backlog)
        self.clients = [
            Client(self), Client(self), Client(self, short), Client(self, rights=LIMITED),
        ]  # fmt: skip

    def newest(self, symbol):
        return (b"%d" % self.sent[symbol], 5) if self.sent[symbol] else None

    def send(self, symbols):
        records = []
        for symbol in symbols:
            self.sent[symbol] += 1
            records.append((symbol, b"%d" % self.sent[symbol]))
        self.fanout.publish(records, 5)

    def settle(self):
        """Let everybody read all that waits."""
        self.backlog = False
        for client in self.clients:
            client.transport.stalled = False
            client.transport.cost = 0.0
            client.transport.drain()
        for _ in range(50):
            self.clock.advance(0.01)


RUNS = int(os.environ.get("MTNET_TEST_RUNS", "150"))
ASKED_FIRST = [[EVERYTHING], [b"GBPUSD", b"US30"], [EVERYTHING], [EVERYTHING]]
CLIENT = st.integers(0, 3)
ASKED = st.lists(st.sampled_from([*SYMBOLS, EVERYTHING]), max_size=3, unique=True)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=12)),
        st.tuples(st.just("send"), st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=12)),
        st.tuples(st.just("ask"), CLIENT, ASKED),
        st.tuples(st.just("stall"), CLIENT, st.booleans()),
        st.tuples(st.just("cost"), CLIENT, st.sampled_from([0.0, SLICE * 0.6])),
        st.tuples(st.just("wait"), st.sampled_from([0.0, SLICE, MAX_WAIT])),
        st.tuples(st.just("backlog"), st.booleans()),
    ),
    min_size=25,
    max_size=80,
)


@pytest.fixture(scope="module", autouse=True)
def small_chunks():
    """Let a few ticks fill a chunk, and a few more be too many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", 4)
        patch.setattr(chunks, "MAX_WAITING", 20)
        yield


@settings(max_examples=RUNS)
@given(STEPS)
def test_sent_and_skipped_are_all_ticks_in_order_and_the_last_is_always_sent(steps):
    world = World()
    for client, symbols in zip(world.clients, ASKED_FIRST, strict=True):
        client.ask(symbols)
    for what, *arguments in steps:
        if what == "send":
            world.send(arguments[0])
        elif what == "ask":
            world.clients[arguments[0]].ask(arguments[1])
        elif what == "stall":
            world.clients[arguments[0]].transport.stalled = arguments[1]
            world.clients[arguments[0]].transport.drain()
        elif what == "cost":
            world.clients[arguments[0]].transport.cost = arguments[1]
        elif what == "wait":
            world.clock.advance(arguments[0])
        else:
            world.backlog = arguments[0]
    world.settle()
    for client in world.clients:
        client.check()


def lines(client):
    return client.transport.value().count(b"TICK")


def test_ticks_of_one_turn_share_a_write():
    world = World()
    world.clients[0].ask([EVERYTHING])
    writes = []
    world.clients[0].subscriber.write = writes.append
    world.send(SYMBOLS)
    world.send(SYMBOLS)
    assert writes == []
    world.clock.advance(0)
    assert [data.count(b"\n") for data in writes] == [4, 4]


def test_ticks_for_those_who_gather_them_are_delivered_once_before_they_leave():
    world = World()
    page, program = world.clients[:2]
    page.ask([EVERYTHING])
    leaves = 0.5
    page.subscriber.flush_delay = lambda: max(0.0, leaves - world.clock.seconds())
    writes = []
    page.subscriber.write = writes.append
    for _ in range(4):
        world.send(SYMBOLS[:1])
        world.clock.advance(0.1)
    assert writes == []
    world.clock.advance(0.1)
    assert [data.count(b"\n") for data in writes] == [4]
    leaves = 1.0
    world.send(SYMBOLS[:1])
    program.ask([EVERYTHING])
    world.send(SYMBOLS[:1])
    world.clock.advance(0)
    assert [data.count(b"\n") for data in writes] == [4, 1, 1]


def test_those_who_gather_ticks_get_them_even_if_there_is_always_more_to_read():
    world = World()
    page, program = world.clients[:2]
    page.ask([EVERYTHING])
    page.subscriber.flush_delay = lambda: 0.2
    world.backlog = True

    def load(seconds):
        for _ in range(round(seconds / 0.01)):
            world.send([b"EURUSD"])
            world.clock.advance(0.01)

    load(0.2 + MAX_WAIT - 0.02)
    assert lines(page) == 0
    program.ask([EVERYTHING])  # it does not wait, nor does it let the others wait longer
    load(0.05)
    sent = lines(page)
    assert sent > 0
    world.feed.leave(program.subscriber)
    load(0.2 + MAX_WAIT + 0.05)
    assert lines(page) > sent


def test_after_a_slice_the_fan_out_rests_for_as_long_as_it_took():
    world = World()
    for client in world.clients[:2]:
        client.ask([EVERYTHING])
        client.transport.cost = SLICE * 3
    world.send(SYMBOLS)
    world.clock.advance(0)
    assert sorted(map(lines, world.clients[:2])) == [0, 4]
    world.clock.advance(SLICE)
    assert sorted(map(lines, world.clients[:2])) == [0, 4]
    world.clock.advance(SLICE * 3)
    assert sorted(map(lines, world.clients[:2])) == [4, 4]


def test_ticks_are_sent_behind_reading_and_yet_four_times_a_second():
    world = World()
    world.clients[0].ask([EVERYTHING])
    world.backlog = True
    for _ in range(24):
        world.send([b"EURUSD"])
        world.clock.advance(MAX_WAIT / 25)
    assert lines(world.clients[0]) == 0
    world.clock.advance(MAX_WAIT / 20)
    assert lines(world.clients[0]) > 0
    world.settle()
    world.clients[0].check()


def test_rights_that_were_gained_count_from_the_next_tick_on():
    world = World()
    client = world.clients[3]
    client.ask([EVERYTHING])
    world.send(SYMBOLS)
    world.clock.advance(0)
    assert lines(client) == 2
    client.subscriber._peer.rights = WHOLE
    world.send(SYMBOLS)
    world.clock.advance(SLICE)
    assert lines(client) == 6


def test_a_subscriber_that_fails_holds_up_no_other(log):
    world = World()
    for client in world.clients[:2]:
        client.ask([EVERYTHING])

    def fail(data):
        raise RuntimeError

    world.clients[0].subscriber.write = fail
    for _ in range(3):
        world.send(SYMBOLS)
        world.clock.advance(SLICE)
        world.clock.advance(SLICE)
    assert lines(world.clients[1]) == 12
    assert log
