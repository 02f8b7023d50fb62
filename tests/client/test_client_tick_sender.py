"""Ticks are sent, and each of them is stored once, whatever breaks."""

from collections import Counter
from decimal import Decimal

import pytest
from fakes.servers import Outcome
from fakes.transports import MemoryEndpoint
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from mtnet import client
from mtnet.client import TickSender, tick_sender
from mtnet.errors import ClientError, JournalError
from mtnet.interfaces import ITicks
from mtnet.net.endpoints import Listener
from mtnet.services.ticks.protocol import TicksFactory
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.testing import make_environment


class FakePort(Protocol):
    """A tick port that answers what it is told to."""

    def __init__(self):
        self.heard = b""

    def dataReceived(self, data):
        self.heard += data


class FakePortFactory(Factory):
    noisy = False

    def __init__(self):
        self.built = []

    def buildProtocol(self, addr):
        self.built.append(FakePort())
        return self.built[-1]


class Harness:
    """
    A sender that is started, and the port that it is connected to.

    Attributes:
        told: what it told: `connected`, why a connection was lost, what was refused.
    """

    def __init__(self, factory, clock, source="desk-1", host="127.0.0.1", **options):
        self.clock, self.told, self.errors = clock, [], []
        self.line = MemoryEndpoint(factory, clock, host)
        self.sender = TickSender(
            self.line,
            source,
            clock,
            on_connected=lambda: self.told.append("connected"),
            on_lost=self.told.append,
            on_error=self.errors.append,
            **options,
        )
        self.first = self.sender._batcher._number + 1
        self.sender.startService()
        self.line.settle()

    def send(self, *ticks):
        for tick in ticks:
            self.sender.send_record(tick)

    def pass_time(self, seconds=tick_sender.BATCH_INTERVAL):
        self.clock.advance(seconds)
        self.line.settle()

    def heard(self):
        """Return what the port heard since the last call, SEQ counted from 1."""
        port = self.line.connection.server.protocol
        found, port.heard = port.heard, b""
        for number in range(50, -1, -1):
            found = found.replace(
                b"@@desk-1 %d\n" % (self.first + number), b"@@%d\n" % (number + 1)
            )
        return found

    def answer(self, data, size=None):
        for at in range(0, len(data), size or len(data)):
            self.line.connection.server.write(data[at : at + (size or len(data))])
            self.line.settle()

    def cut(self):
        self.line.connection.cut()
        self.pass_time(client.LONGEST_DELAY)

    @property
    def counts(self):
        return self.sender.sent, self.sender.stored, self.sender.refused, self.sender.waiting


@pytest.fixture
def harness(clock):
    return Harness(FakePortFactory(), clock)


ONE, TWO, THREE = b"EURUSD 1.1", b"EURUSD 1.2", b"EURUSD 1.3"


# Batches


def test_ticks_are_gathered_for_a_while_and_end_in_a_question(harness):
    harness.send(ONE, TWO)
    harness.pass_time(tick_sender.BATCH_INTERVAL / 2)
    assert harness.heard() == b""
    harness.pass_time(tick_sender.BATCH_INTERVAL / 2)
    assert harness.heard() == b"@@1\nEURUSD 1.1\nEURUSD 1.2\nSYNC:\n"
    assert harness.counts == (2, 0, 0, 2)
    harness.answer(b"OK: SYNC 2\r\n")
    assert harness.counts == (2, 2, 0, 0)


def test_a_full_batch_does_not_wait(harness, monkeypatch):
    monkeypatch.setattr(tick_sender, "MAX_BATCH", 2)
    harness.send(ONE, TWO, THREE)
    harness.line.settle()
    assert harness.heard() == b"@@1\nEURUSD 1.1\nEURUSD 1.2\nSYNC:\n"
    harness.pass_time()
    assert harness.heard() == b"@@2\nEURUSD 1.3\nSYNC:\n"


def test_no_more_than_a_window_of_batches_is_under_way(harness, monkeypatch):
    monkeypatch.setattr(tick_sender, "MAX_BATCH", 1)
    monkeypatch.setattr(tick_sender, "WINDOW", 2)
    harness.send(*[b"EURUSD %d" % price for price in range(5)])
    harness.line.settle()
    assert harness.heard().count(b"SYNC:") == 2
    harness.answer(b"OK: SYNC 1\r\n")
    assert harness.heard() == b"@@3\nEURUSD 2\nSYNC:\n"
    harness.answer(b"OK: SYNC 2\r\nOK: SYNC 3\r\n")
    assert harness.heard() == b"@@4\nEURUSD 3\nSYNC:\n@@5\nEURUSD 4\nSYNC:\n"
    harness.answer(b"OK: SYNC 4\r\nOK: SYNC 5\r\n")
    assert harness.counts == (5, 5, 0, 0)


@pytest.mark.parametrize("size", range(1, 13))
def test_answers_are_understood_however_they_are_cut(harness, monkeypatch, size):
    monkeypatch.setattr(tick_sender, "MAX_BATCH", 1)
    harness.send(ONE, TWO)
    harness.answer(b"OK: SYNC 1\r\nOK: SYNC 2\r\n", size)
    assert harness.counts == (2, 2, 0, 0)


def test_what_is_handed_in_before_it_is_started_waits(clock):
    line = MemoryEndpoint(FakePortFactory(), clock)
    waiting = TickSender(line, "desk-1", clock)
    waiting.send("EURUSD", "1.1")
    clock.advance(5)
    waiting.startService()
    line.settle()
    assert line.connection.server.protocol.heard.endswith(b"\nEURUSD 1.1 - - - - -\nSYNC:\n")


# Again


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_behind_a_cut_what_is_not_confirmed_is_sent_again_as_it_was(harness, monkeypatch, answered):
    monkeypatch.setattr(tick_sender, "MAX_BATCH", 1)
    harness.send(ONE, TWO, THREE)
    harness.line.settle()
    whole = harness.heard()
    harness.answer(b"OK: SYNC 1\r\nOK: SYNC 2\r\n"[: 12 * answered] or b"OK: PONG\r\n")
    harness.cut()
    assert harness.heard() == whole[whole.index(b"@@%d\n" % (answered + 1)) :]
    harness.answer(b"".join(b"OK: SYNC %d\r\n" % (n + 1) for n in range(3 - answered)))
    assert harness.counts == (3, 3, 0, 0)
    assert harness.told[0] == harness.told[2] == "connected"
    assert len(harness.told) == 3


@pytest.mark.parametrize("at", range(12))
def test_half_an_answer_confirms_nothing(harness, at):
    harness.send(ONE)
    harness.pass_time()
    harness.answer(b"OK: SYNC 1\r\n"[:at] or b"\r")
    harness.cut()
    assert harness.counts == (1, 0, 0, 1)
    harness.heard()
    harness.answer(b"OK: SYNC 1\r\n")
    assert harness.counts == (1, 1, 0, 0)


def test_the_next_sender_of_a_name_begins_with_numbers_that_the_last_one_had_not(clock):
    numbers = []
    for _ in range(3):
        clock.advance(0.01)
        numbers.append(Harness(FakePortFactory(), clock).first)
    assert numbers == sorted(numbers, reverse=True)
    assert min(numbers[n] - numbers[n + 1] for n in range(2)) > 2_000


# What the server refuses


def test_a_server_that_refuses_for_good_is_told_once_for_each_batch(harness, monkeypatch):
    monkeypatch.setattr(tick_sender, "MAX_BATCH", 1)
    harness.send(ONE, TWO)
    done = Outcome(harness.sender.synced())
    harness.answer(
        b"ERR: denied This connection may not send ticks\r\nOK: SYNC 0\r\nOK: SYNC 0\r\n"
    )
    assert harness.counts == (2, 0, 2, 0)
    assert done.values == [None]
    assert harness.errors == ["denied This connection may not send ticks"]


def test_what_is_denied_once_is_denied_as_long_as_the_connection_lasts(harness):
    harness.send(ONE)
    harness.pass_time()
    harness.answer(b"ERR: denied This connection may not send ticks\r\nOK: SYNC 0\r\n")
    harness.send(TWO)  # the server tells it once a second
    harness.pass_time()
    harness.answer(b"OK: SYNC 0\r\n")
    assert harness.counts == (2, 0, 2, 0)
    assert len(harness.line.connections) == 1


def test_a_tick_that_there_was_no_room_for_is_sent_again(harness):
    harness.send(ONE, TWO)
    harness.pass_time()
    whole = harness.heard()
    harness.answer(b"OK: SYNC 1\r\n")
    assert harness.counts == (2, 0, 0, 2)
    assert "no room" in harness.errors[0]
    harness.pass_time(client.LONGEST_DELAY)
    assert harness.heard() == whole
    harness.answer(b"OK: SYNC 2\r\n")
    assert harness.counts == (2, 2, 0, 0)


def test_a_disk_that_refuses_is_asked_again(harness):
    harness.send(ONE)
    harness.pass_time()
    whole = harness.heard()
    harness.answer(b"ERR: server The disk is full\r\nOK: SYNC 1\r\n")
    assert harness.counts == (1, 0, 0, 1)
    harness.pass_time(client.LONGEST_DELAY)
    assert harness.heard() == whole


def test_an_error_of_one_batch_is_none_of_a_later_one(harness):
    harness.send(ONE)
    harness.pass_time()
    harness.answer(b"ERR: tick This is no tick\r\nOK: SYNC 0\r\n")
    assert harness.counts == (1, 0, 1, 0)
    harness.send(TWO)
    harness.pass_time()
    harness.answer(b"OK: SYNC 0\r\n")
    assert harness.counts == (2, 0, 1, 1)


NONSENSE = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"<<EURUSD|0.10>>\r\n",
    b"\xff\xfe\0\r\n",
    b"\r\n",
    b"OKAY\r\n",
    b"x" * 40_000,
]


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_what_is_no_tick_port_is_left_with_one_sentence(harness, nonsense):
    harness.send(ONE)
    harness.pass_time()
    harness.answer(nonsense)
    assert len(harness.errors) == 1
    assert "not a tick port" in harness.errors[0]
    assert not harness.line.connection.client.connected
    assert harness.counts == (1, 0, 0, 1)


@pytest.mark.parametrize(
    "line",
    [
        b"OK: SYNC",
        b"OK: SYNC -1",
        b"OK: SYNC 1 2",
        b"OK: SYNC x",
        b"OK: SYNC " + b"9" * 5_000,
        "OK: SYNC ١".encode(),
        b"OK: PONG",
        b"OK: SUBSCRIBED *",
    ],
)
def test_other_answers_confirm_nothing(harness, line):
    harness.send(ONE)
    harness.pass_time()
    with capturedLogs() as logged:
        harness.answer(line + b"\r\n")
    assert logged == []
    assert harness.counts == (1, 0, 0, 1)


def test_an_answer_that_nobody_asked_for_confirms_nothing(harness):
    harness.answer(b"OK: SYNC 7\r\n")
    harness.send(ONE)
    harness.pass_time()
    assert harness.counts == (1, 0, 0, 1)
    harness.answer(b"OK: SYNC 1\r\n")
    assert harness.counts == (1, 1, 0, 0)


def test_a_server_that_counts_backwards_never_makes_ticks_of_its_own(harness, monkeypatch):
    monkeypatch.setattr(tick_sender, "MAX_BATCH", 1)
    harness.send(ONE, TWO, THREE)
    harness.answer(b"OK: SYNC 2\r\nERR: tick x\r\nOK: SYNC 0\r\nOK: SYNC 9\r\n")
    sent, stored, refused, waiting = harness.counts
    assert min(stored, refused, waiting) >= 0
    assert stored + refused + waiting == sent


# Waiting and stopping


def test_nothing_is_waited_for_where_nothing_waits(harness):
    assert Outcome(harness.sender.synced()).values == [None]
    harness.line.settle()
    assert harness.heard() == b""


def test_everybody_waits_for_what_was_handed_in_until_then(harness):
    harness.send(ONE)
    early = Outcome(harness.sender.synced())
    harness.send(TWO)
    late = Outcome(harness.sender.synced())
    harness.answer(b"OK: SYNC 1\r\n")
    assert (early.values, late.waits) == ([None], True)
    harness.answer(b"OK: SYNC 2\r\n")
    assert late.values == [None]


def test_stopping_tells_those_who_wait_that_not_all_is_stored(harness):
    harness.send(ONE)
    waiting = [Outcome(harness.sender.synced()), Outcome(harness.sender.synced())]
    stopped = Outcome(harness.sender.stopService())
    harness.line.settle()
    assert [each.sentence for each in waiting] == 2 * [
        "The sender was stopped before the server had all ticks."
    ]
    assert stopped.values == [None]
    assert not harness.clock.getDelayedCalls()


def test_a_wait_behind_a_stop_ends_with_it(harness):
    harness.send(ONE)
    harness.sender.stopService()
    assert "was stopped" in Outcome(harness.sender.synced()).sentence


def test_a_cancelled_wait_disturbs_no_other(harness):
    harness.send(ONE)
    given_up, other = harness.sender.synced(), Outcome(harness.sender.synced())
    given_up.addErrback(lambda _: None)
    given_up.cancel()
    harness.answer(b"OK: SYNC 1\r\n")
    assert other.values == [None]


@pytest.mark.parametrize("ticks", [0, 1])
def test_a_sender_that_was_stopped_leaves_nothing_behind_and_takes_nothing(harness, ticks):
    harness.send(*[ONE] * ticks)
    for _ in range(2):
        stopped = Outcome(harness.sender.stopService())
        harness.line.settle()
        assert stopped.values == [None]
    harness.clock.advance(client.LONGEST_DELAY)
    assert len(harness.line.connections) == 1
    assert not harness.clock.getDelayedCalls()
    with pytest.raises(ClientError, match="was stopped"):
        harness.send(ONE)


def test_a_callback_may_stop_the_sender(clock):
    def stop(_):
        harness.sender.stopService()

    harness = Harness(FakePortFactory(), clock)
    harness.send(ONE, TWO)
    harness.sender.synced().addCallback(stop)
    harness.answer(b"OK: SYNC 2\r\n")
    assert not clock.getDelayedCalls()
    assert harness.counts == (2, 2, 0, 0)


def test_a_sender_tells_whether_its_first_attempt_failed(clock):
    line = MemoryEndpoint(ConnectionRefusedError(111, "Connection refused"), clock)
    failing = TickSender(line, "desk-1", clock)
    outcome = Outcome(failing.whenConnected(failAfterFailures=1))
    failing.startService()
    assert isinstance(outcome.errors[0], ConnectionRefusedError)
    failing.stopService()
    assert not clock.getDelayedCalls()


def test_no_more_ticks_wait_than_there_is_room_for(harness, monkeypatch):
    monkeypatch.setattr(tick_sender, "MAX_WAITING", 2)
    harness.send(ONE, TWO)
    with pytest.raises(ClientError, match="More than 2 ticks"):
        harness.send(THREE)
    assert harness.counts == (2, 0, 0, 2)
    harness.pass_time()
    harness.answer(b"OK: SYNC 2\r\n")
    harness.send(THREE)
    assert harness.counts == (3, 2, 0, 1)


# What is a tick


@pytest.mark.parametrize(
    ("given", "record"),
    [
        (("EURUSD", "1.10"), b"EURUSD 1.10 - - - - -"),
        (("EURUSD", Decimal("1.10"), 1.25), b"EURUSD 1.10 1.25 - - - -"),
        (("EURUSD", Decimal("1E+2"), Decimal("1E-3")), b"EURUSD 100 0.001 - - - -"),
        (("EURUSD", 1e-05), b"EURUSD 1e-05 - - - - -"),
        (("EURUSD", None, None, 3, "0.25", 1549238400994, 6), b"EURUSD - - 3 0.25 1549238400994 6"),
        (("UK 100", 7500.1), b"UK%20100 7500.1 - - - - -"),
        (("UK%20100", 7500.1), b"UK%20100 7500.1 - - - - -"),
        (("A,B;C", -1), b"A%2CB%3BC -1 - - - - -"),
        ((".DE40", 1), b".DE40 1 - - - - -"),
        (("Gold€", "1"), "Gold€ 1 - - - - -".encode()),
    ],
)
def test_a_tick_keeps_its_digits_and_its_symbol_is_spelt_as_on_the_wire(harness, given, record):
    harness.sender.send(*given)
    harness.pass_time()
    assert harness.heard() == b"@@1\n" + record + b"\nSYNC:\n"


@pytest.mark.parametrize(
    ("given", "record"),
    [
        (b"EURUSD 1.1", b"EURUSD 1.1"),
        (b"EURUSD,1.1,,,0.25", b"EURUSD 1.1 - - 0.25"),
        (b"EURUSD;1.1;1.2", b"EURUSD 1.1 1.2"),
        (b"  EURUSD\t1.1   1.2  ", b"EURUSD 1.1 1.2"),
        (b"UK%20100 7500", b"UK%20100 7500"),
    ],
)
def test_a_record_is_sent_in_its_canonical_form(harness, given, record):
    harness.send(given)
    harness.pass_time()
    assert harness.heard() == b"@@1\n" + record + b"\nSYNC:\n"


@pytest.mark.parametrize(
    "given",
    [
        ("EURUSD",),
        ("", "1.1"),
        ("X" * 33, "1.1"),
        ("EURUSD", ""),
        ("EURUSD", "", "1.2"),
        ("EURUSD", " \t", "1.2"),
        ("EURUSD", "1.1 1.2", " "),
        ("EURUSD", "\ud800"),
        ("EUR\ud800", "1.1"),
        ("EURUSD", "1.1", "", "", "", "", ""),
        ("EURUSD", "1.1 1.2"),
        ("EURUSD", "1,1"),
        ("EURUSD", "1;1"),
        ("EURUSD", "1.1\nEURUSD 2"),
        ("EURUSD", "1.1\0"),
        ("EURUSD", float("nan")),
        ("EURUSD", float("inf")),
        ("EURUSD", Decimal("NaN")),
        ("EURUSD", Decimal("1E+30")),
        ("EURUSD", True),
        ("EURUSD", "1_000"),
        ("EURUSD", "١"),
        ("EURUSD", 1, 1, 1, -1),
        ("EURUSD", 1, 1, 1, 1, 5),
        ("EURUSD", 1, 1, 1, 1, None, -6),
    ],
)
def test_what_is_no_tick_is_refused_and_does_not_become_another(harness, given):
    with pytest.raises(ClientError):
        harness.sender.send(*given)
    assert harness.counts == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"EURUSD",
        b"@@desk-1 1",
        b"SYNC:",
        b"LOGIN: a b",
        b"EURUSD 1.1\nSYNC:",
        b"EURUSD 1.1\0",
        b"EURUSD 1.1\r",
        b"EURUSD,1,x",
        b"EURUSD 1 1 1 1 154923840099 1 1",
        b"\x81\xfe 1",
    ],
)
def test_a_record_that_is_none_is_refused(harness, record):
    with pytest.raises(ClientError):
        harness.send(record)
    assert harness.counts == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "source", ["", " ", "desk 1", "desk 5 x", "desk-1 ", "@desk", "x" * 33, "büro", "a\n", "\udcff"]
)
def test_a_name_that_no_source_can_have_is_refused(clock, source):
    with pytest.raises(ClientError, match="Invalid source"):
        TickSender(MemoryEndpoint(FakePortFactory(), clock), source, clock)


# Against the real tick port


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
        connection = self.harness.line.connection
        for end, other, size in (
            (connection.client, connection.server, there),
            (connection.server, connection.client, back),
        ):
            data, end.unread = end.unread[:size], end.unread[size:]
            if data and other.connected and not other.aborted:
                other.protocol.dataReceived(data)
                end.drained()
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
        patch.setattr(tick_sender, "MAX_BATCH", most)
        patch.setattr(tick_sender, "WINDOW", window)
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
    monkeypatch.setattr(tick_sender, "MAX_BATCH", 2)
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
