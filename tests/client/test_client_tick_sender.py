"""Ticks are sent, and sent again, to a port that answers what it is told to."""

from decimal import Decimal

import pytest
from fakes.servers import Outcome
from fakes.transports import MemoryEndpoint
from tick_sending import ONE, THREE, TWO, FakePortFactory, Harness
from twisted.internet.error import ConnectionRefusedError
from twisted.logger import capturedLogs

from mtnet import client
from mtnet.client import TickSender
from mtnet.client.core.prices import sending
from mtnet.errors import ClientError


@pytest.fixture
def harness(clock):
    return Harness(FakePortFactory(), clock)


# Batches


def test_ticks_are_gathered_for_a_while_and_end_in_a_question(harness):
    harness.send(ONE, TWO)
    harness.pass_time(sending.BATCH_INTERVAL / 2)
    assert harness.heard() == b""
    harness.pass_time(sending.BATCH_INTERVAL / 2)
    assert harness.heard() == b"@@1\nEURUSD 1.1\nEURUSD 1.2\nSYNC:\r\n"
    assert harness.counts == (2, 0, 0, 2)
    harness.answer(b"OK: SYNC 2\r\n")
    assert harness.counts == (2, 2, 0, 0)


def test_a_full_batch_does_not_wait(harness, monkeypatch):
    monkeypatch.setattr(sending, "MAX_BATCH", 2)
    harness.send(ONE, TWO, THREE)
    harness.line.settle()
    assert harness.heard() == b"@@1\nEURUSD 1.1\nEURUSD 1.2\nSYNC:\r\n"
    harness.pass_time()
    assert harness.heard() == b"@@2\nEURUSD 1.3\nSYNC:\r\n"


def test_no_more_than_a_window_of_batches_is_under_way(harness, monkeypatch):
    monkeypatch.setattr(sending, "MAX_BATCH", 1)
    monkeypatch.setattr(sending, "WINDOW", 2)
    harness.send(*[b"EURUSD %d" % price for price in range(5)])
    harness.line.settle()
    assert harness.heard().count(b"SYNC:") == 2
    harness.answer(b"OK: SYNC 1\r\n")
    assert harness.heard() == b"@@3\nEURUSD 2\nSYNC:\r\n"
    harness.answer(b"OK: SYNC 2\r\nOK: SYNC 3\r\n")
    assert harness.heard() == b"@@4\nEURUSD 3\nSYNC:\r\n@@5\nEURUSD 4\nSYNC:\r\n"
    harness.answer(b"OK: SYNC 4\r\nOK: SYNC 5\r\n")
    assert harness.counts == (5, 5, 0, 0)


@pytest.mark.parametrize("size", range(1, 13))
def test_answers_are_understood_however_they_are_cut(harness, monkeypatch, size):
    monkeypatch.setattr(sending, "MAX_BATCH", 1)
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
    assert line.connection.server.protocol.heard.endswith(b"\nEURUSD 1.1 - - - - -\nSYNC:\r\n")


# Again


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_behind_a_cut_what_is_not_confirmed_is_sent_again_as_it_was(harness, monkeypatch, answered):
    monkeypatch.setattr(sending, "MAX_BATCH", 1)
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
    monkeypatch.setattr(sending, "MAX_BATCH", 1)
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
    monkeypatch.setattr(sending, "MAX_BATCH", 1)
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
    monkeypatch.setattr(sending, "MAX_WAITING", 2)
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
    assert harness.heard() == b"@@1\n" + record + b"\nSYNC:\r\n"


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
    assert harness.heard() == b"@@1\n" + record + b"\nSYNC:\r\n"


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
