"""What a Python program is told of ticks, without a reactor."""

import pytest
from fakes.servers import Outcome, Server
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from mtnet import client
from mtnet.client import Tick, subscribe
from mtnet.interfaces import ITicks
from mtnet.net.endpoints import Listener
from mtnet.services.ticks.protocol import TicksFactory
from mtnet.services.ticks.wire import encode_tick
from mtnet.testing import connect

WHOLE = b"TICK: EURUSD 1.09870 1.1 1e-5 0.25 1549238400994 6 1700000000000 ~12\r\n"
BARE = b"TICK: UK%20100 7500.1 - - - - - 1700000000000\r\n"


class Received:
    """A subscriber that is started, and what it was told."""

    def __init__(self, server, clock, *symbols):
        self.ticks, self.states, self.errors = [], [], []
        self.service = subscribe(
            server,
            symbols,
            self.ticks.append,
            clock,
            on_connected=lambda: self.states.append("connected"),
            on_lost=self.states.append,
            on_error=self.errors.append,
        )
        self.service.startService()


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.parametrize(
    ("symbols", "asked"),
    [(["EURUSD", "GBPUSD"], b"SUBSCRIBE: EURUSD GBPUSD\r\n"), (["*"], b"SUBSCRIBE: *\r\n")],
)
def test_a_subscriber_asks_for_its_symbols_and_no_more(clock, symbols, asked):
    server = Server()
    Received(server, clock, *symbols)
    assert server.end.value() == asked


def test_a_tick_has_the_digits_that_were_sent_and_none_for_what_is_absent(clock):
    server = Server()
    heard = Received(server, clock, "*")
    server.end.protocol.dataReceived(WHOLE + BARE)
    assert heard.ticks == [
        Tick("EURUSD", "1.09870", "1.1", "1e-5", "0.25", 1549238400994, 6, 1700000000000, 12),
        Tick("UK%20100", "7500.1", None, None, None, None, None, 1700000000000, 0),
    ]


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=9)


@settings(deadline=None)
@given(SIZES)
def test_ticks_come_whole_however_the_stream_is_cut(sizes):
    server, stream = Server(), b"OK: SUBSCRIBED *\r\n" + WHOLE + BARE
    heard = Received(server, Clock(), "*")
    for at in range(len(stream)):
        size = sizes[at % len(sizes)]
        server.end.protocol.dataReceived(stream[:size])
        stream = stream[size:]
    assert [tick.symbol for tick in heard.ticks] == ["EURUSD", "UK%20100"]


def test_a_subscriber_connects_again_asks_again_and_says_so(clock):
    server = Server()
    heard = Received(server, clock, "EURUSD")
    taken = b"OK: SUBSCRIBED EURUSD\r\n"
    server.end.protocol.dataReceived(taken + WHOLE[:20])
    server.end.close(ConnectionLost())
    clock.advance(client.LONGEST_DELAY)
    assert len(server.connections) == 2
    assert server.end.value() == b"SUBSCRIBE: EURUSD\r\n"
    server.end.protocol.dataReceived(taken + BARE + taken)
    assert [tick.symbol for tick in heard.ticks] == ["UK%20100"], "the old half line is forgotten"
    assert heard.states[0] == heard.states[2] == "connected"
    assert len(heard.states) == 3


def test_a_refusal_is_told_in_the_words_of_the_server(clock):
    server = Server()
    heard = Received(server, clock, "*")
    server.end.protocol.dataReceived(b"ERR: denied This connection may not read ticks\r\n")
    assert heard.errors == ["denied This connection may not read ticks"]
    assert not server.end.aborted


@pytest.mark.parametrize(
    "line",
    [
        b"TICK: EURUSD much - - - - - 1700000000000",
        b"TICK: EURUSD - - - - - - 1700000000000",
        b"TICK: EURUSD 1.1 - - - - -",
        b"TICK: EURUSD 1.1 - - - - - 1700000000000 ~",
    ],
)
def test_a_line_that_is_no_tick_is_logged_and_left_out(clock, line):
    server = Server()
    heard = Received(server, clock, "*")
    with capturedLogs() as logged:
        server.end.protocol.dataReceived(line + b"\r\n" + BARE)
    assert [tick.symbol for tick in heard.ticks] == ["UK%20100"]
    assert "EURUSD" in str(logged[0]["error"])


def test_what_is_no_tick_port_is_left_again(clock):
    server = Server()
    heard = Received(server, clock, "*")
    server.end.protocol.dataReceived(b"HTTP/1.1 400 Bad Request\r\n")
    assert server.end.aborted
    (error,) = heard.errors
    assert error.startswith("port ")
    assert "400 Bad Request" in error


def test_a_server_that_does_not_answer_is_left_after_12_seconds(clock):
    server = Server()
    heard = Received(server, clock, "*")
    clock.advance(11)
    assert not server.end.aborted
    clock.advance(1)
    assert heard.states == ["there was no answer for 12 s"]
    clock.advance(client.LONGEST_DELAY)
    server.end.protocol.dataReceived(b"OK: SUBSCRIBED *\r\n")
    clock.advance(86_400)
    assert not server.end.aborted, "a closed market is silent for days"


def test_nothing_behind_a_line_of_somebody_else_is_read(clock):
    server = Server()
    heard = Received(server, clock, "*")
    server.end.protocol.dataReceived(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n" + WHOLE)
    assert heard.ticks == []
    assert len(heard.errors) == 1


def test_a_subscriber_that_was_stopped_does_not_connect_again(clock):
    server = Server()
    heard = Received(server, clock, "*")
    server.end.protocol.dataReceived(b"OK: SUBSCRIBED *\r\n")
    heard.service.stopService()
    clock.advance(client.LONGEST_DELAY)
    assert server.end.gone
    assert len(server.connections) == 1
    assert len(heard.states) == 2


def test_a_line_without_end_is_not_collected(clock):
    server = Server()
    Received(server, clock, "*")
    server.end.protocol.dataReceived(b"x" * 100_000)
    assert server.end.gone


def test_a_subscriber_can_be_asked_whether_its_first_attempt_failed(clock):
    refused = ConnectionRefusedError(111, "Connection refused")
    service = subscribe(Server(refused), ["*"], print, clock)
    outcome = Outcome(service.whenConnected(failAfterFailures=1))
    service.startService()
    assert isinstance(outcome.errors[0], ConnectionRefusedError)


def test_a_subscriber_reads_what_the_tick_port_says(env_with, clock):
    env, server = env_with(), Server()
    heard = Received(server, clock, "EURUSD")
    port = connect(TicksFactory(env.of("ticks"), Listener("ticks", "")), clock)
    port.send(server.end.value())
    clock.advance(1)
    records = [(b"EURUSD", b"1.09870 1.1"), (b"GBPUSD", b"1.3")]
    env.find(ITicks).take(env.find(ITicks).source("desk-1"), records, env.now())
    clock.advance(1)
    server.end.protocol.dataReceived(port.received())
    assert heard.ticks == [
        Tick("EURUSD", "1.09870", "1.1", None, None, None, None, env.now() - 1_000, 0)
    ]


def test_a_subscriber_reads_every_line_that_tells_a_tick(clock):
    server = Server()
    heard = Received(server, clock, "*")
    server.end.protocol.dataReceived(encode_tick(b"$%_.+#&!/-" * 3, b"1" * 12, 10**13, 10**9))
    assert [(tick.bid, tick.skipped) for tick in heard.ticks] == [("1" * 12, 10**9)]
