"""Ticks that are sent to the real port are stored once each, whatever breaks."""

from collections import Counter

import pytest
from fakes.servers import Outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from tick_sending import ONE, THREE, TWO, Harness
from twisted.internet.task import Clock

from mtnet import client
from mtnet.client.core.prices import sending
from mtnet.errors import ClientError, JournalError
from mtnet.interfaces import ITicks
from mtnet.net.endpoints import Listener
from mtnet.services.ticks.protocol import TicksFactory
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.testing import make_environment


class Real:
    """A env, its tick port, and senders to it."""

    def __init__(self, folder, clock, *sets):
        self.folder, self.clock = folder, clock
        self.sets = sets
        self.open()

    def open(self):
        self.env = make_environment(self.folder, self.clock, *self.sets)
        self.factory = TicksFactory(self.env.of("ticks"), Listener("ticks", ""))

    def stored(self, symbol=b"EURUSD"):
        """Return what is on disk of a symbol, in the order in which it came."""
        Outcome(self.env.find(ITicks).sync())
        self.clock.advance(1)
        try:
            return [tick.rest for tick in TickReader(self.folder / "ticks.sqlite").ticks(symbol)]
        except ClientError:
            return []


@pytest.fixture
def real(tmp_path, clock):
    return Real(tmp_path / "data", clock)


def test_the_tick_port_stores_what_is_sent_and_says_so(real, clock):
    harness = Harness(real.factory, clock)
    harness.send(ONE, TWO, b"UK%20100,7500")
    done = Outcome(harness.sender.synced())
    harness.line.settle()
    assert done.values == [None]
    assert harness.counts == (3, 3, 0, 0)
    assert real.stored() == [b"1.1", b"1.2"]
    assert harness.errors == []


def test_one_sender_behind_another_loses_nothing_and_waits_for_nothing(real, clock):
    """A second run of a program sends other ticks, fewer ticks, and the very same ticks."""
    expected = []
    for ticks in ([ONE, TWO, THREE], [b"EURUSD 1.4"], [ONE, TWO, THREE], [ONE, TWO, THREE], [ONE]):
        clock.advance(1)
        harness = Harness(real.factory, clock)
        harness.send(*ticks)
        done = Outcome(harness.sender.synced())
        harness.line.settle()
        assert done.values == [None]
        assert harness.counts == (len(ticks), len(ticks), 0, 0)
        expected += [tick.partition(b" ")[2] for tick in ticks]
        harness.sender.stopService()
        harness.line.settle()
    assert real.stored() == expected
    (source,) = real.env.find(ITicks)._sources._by_name.values()
    assert (source.missing, source.repeated) == (0, 0)


def test_ticks_that_are_denied_are_refused_for_good(tmp_path, clock):
    real = Real(tmp_path / "data", clock, "access.anonymous=read")
    harness = Harness(real.factory, clock, host="192.0.2.1")
    for price in range(1, 6):
        harness.send(b"EURUSD %d" % price)
        harness.pass_time()
    assert harness.counts == (5, 0, 5, 0)
    assert set(harness.errors) == {"denied This connection may not send ticks"}
    assert len(harness.line.connections) == 1


def test_where_there_is_no_room_ticks_wait_until_there_is(real, clock):
    harness = Harness(real.factory, clock)
    writer = real.env.find(ITicks)._writer
    writer.full = True
    writer._store.free, free = (lambda: -1), writer._store.free
    harness.send(ONE, TWO)
    done = Outcome(harness.sender.synced())
    harness.line.settle()
    for _ in range(3):
        harness.pass_time(client.LONGEST_DELAY)
    assert done.waits
    assert harness.counts == (2, 0, 0, 2)
    assert "no room" in harness.errors[0]
    writer._store.free = free
    writer.check_room()
    for _ in range(3):
        harness.pass_time(client.LONGEST_DELAY)
    assert done.values == [None]
    assert real.stored() == [b"1.1", b"1.2"]


def test_a_disk_that_fails_is_tried_again_and_each_tick_is_stored_once(real, clock):
    harness = Harness(real.factory, clock)
    store = real.env.find(ITicks)._writer._store
    commit = store.commit

    def refuse(*_):
        raise JournalError("The disk is on fire.")

    store.commit = refuse
    harness.send(ONE, TWO)
    done = Outcome(harness.sender.synced())
    harness.line.settle()
    assert done.waits
    assert harness.errors[0].startswith("server ")
    store.commit = commit
    for _ in range(5):
        harness.pass_time(client.LONGEST_DELAY)
    assert done.values == [None]
    assert real.stored() == [b"1.1", b"1.2"]


def test_a_symbol_that_is_one_too_many_does_not_hold_up_the_others(tmp_path, clock):
    real = Real(tmp_path / "data", clock, "ticks.max_symbols=1")
    harness = Harness(real.factory, clock)
    harness.send(ONE, b"GBPUSD 1.3")
    for _ in range(5):
        harness.pass_time(client.LONGEST_DELAY)
    assert harness.counts == (2, 1, 1, 0)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 7)),
        st.tuples(st.just("carry"), st.integers(0, 120), st.integers(0, 30)),
        st.tuples(st.just("cut")),
        st.tuples(st.just("wait"), st.sampled_from([0.05, 0.2, 1.0, 35.0])),
        st.tuples(st.just("new sender")),
        st.tuples(st.just("restart")),
        st.tuples(st.just("kill")),
        st.tuples(st.just("room"), st.booleans()),
    ),
    max_size=30,
)


class Story:
    """Sends ticks while connections break at every byte; the prices count upwards."""

    def __init__(self, folder):
        self.clock = Clock()
        self.real = Real(folder, self.clock)
        self.price, self.expected, self.desks = 0, [], []
        self.new_sender()

    def new_sender(self):
        """A sender is stopped when all it has is stored, and another takes its name."""
        if self.desks:
            self.settle()
            self.harness.sender.stopService()
            self.harness.line.settle()
        self.clock.advance(0.01)
        self.harness = Harness(self.real.factory, self.clock)
        self.desks.append(self.harness)

    def send(self, count):
        for _ in range(count):
            self.price += 1
            # Every other price is one that was there before: nothing but numbers tells them apart.
            self.expected.append(b"%d" % (self.price // 2))
            self.harness.send(b"EURUSD " + self.expected[-1])

    def carry(self, there, back):
        """Let so many bytes arrive at most."""
        self.harness.line.connection.carry(there, back)
        self.clock.advance(0)

    def cut(self):
        self.harness.line.connection.cut()
        self.clock.advance(0)

    def wait(self, seconds):
        self.clock.advance(seconds)

    def restart(self):
        """The daemon is stopped and started; what it had taken it stores."""
        self.harness.line.connection.cut()
        self.clock.advance(0)
        Outcome(self.real.env.find(ITicks).close())
        self.real.open()
        self.harness.line.factory = self.real.factory

    def kill(self):
        """The daemon is killed; what it had taken and not stored is lost."""
        self.harness.line.connection.cut()
        collector = self.real.env.find(ITicks)
        collector._closing = True
        collector._cancel()
        self.clock.advance(0)
        collector._writer._store.close()
        self.real.open()
        self.harness.line.factory = self.real.factory

    def room(self, there):
        """The disk is full, or is not any more."""
        writer = self.real.env.find(ITicks)._writer
        writer._store.free = lambda: 0 if there else -1
        writer.check_room()

    def settle(self):
        self.room(True)
        done = Outcome(self.harness.sender.synced())
        for _ in range(5):
            self.harness.pass_time(client.LONGEST_DELAY)
        assert done.values == [None]
        assert self.harness.sender.waiting == 0
        assert self.harness.sender.refused == 0
        assert self.harness.sender.stored == self.harness.sender.sent


@settings(deadline=None, max_examples=100)
@given(EVENTS, st.integers(1, 4), st.integers(1, 3))
def test_whatever_connections_break_each_tick_is_stored_once(
    tmp_path_factory, events, most, window
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sending, "MAX_BATCH", most)
        patch.setattr(sending, "WINDOW", window)
        story = Story(tmp_path_factory.mktemp("story"))
        for name, *arguments in events:
            getattr(story, name.replace(" ", "_"))(*arguments)
        story.settle()
        stored = story.real.stored()
        assert Counter(stored) == Counter(story.expected)
        if ("room", False) not in events:
            assert sorted(stored, key=int) == stored, "batches are stored in their order"
        assert sum(harness.sender.stored for harness in story.desks) == len(story.expected)


def test_a_connection_that_breaks_at_each_byte_costs_no_tick(tmp_path, monkeypatch):
    monkeypatch.setattr(sending, "MAX_BATCH", 2)
    probe = Story(tmp_path / "probe")
    probe.send(5)
    probe.wait(1)
    for at in range(len(probe.harness.line.connection.client.unread) + 1):
        story = Story(tmp_path / f"cut-{at}")
        story.send(5)
        story.wait(1)
        story.carry(at, 0)
        story.cut()
        story.settle()
        assert story.real.stored() == story.expected, at
