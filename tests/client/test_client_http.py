"""Followers and publishers over HTTP: long polls and POSTs to a daemon in memory, by bytes."""

from decimal import Decimal
from types import SimpleNamespace

import pytest
from fakes.http import HttpPort
from twisted.internet.task import Clock

from mtnet.client.core.address import read_address
from mtnet.client.core.driver import Driver
from mtnet.client.core.events import (
    Blind,
    Failed,
    Fenced,
    OtherHistory,
    Paused,
    Provider,
    Refused,
    State,
    Stored,
    Synced,
)
from mtnet.client.core.follower import FollowerCore
from mtnet.client.core.framing import FrameFraming
from mtnet.client.core.login import Login
from mtnet.client.core.publisher import PublisherCore
from mtnet.client.core.replica import Replica
from mtnet.client.core.session import Session
from mtnet.client.http.exchange import MAX_ANSWER, Exchange, Reply
from mtnet.client.http.gateway import Gateway, Road
from mtnet.client.http.posts import Posts, Publishing
from mtnet.errors import ClientError
from mtnet.interfaces import ISignals
from mtnet.services.signals.reports.wire import Report, report
from mtnet.services.signals.wire.answers import Signal
from mtnet.services.signals.wire.requests import Ack
from mtnet.testing import make_environment

ADDRESS = read_address("http://localhost:8083", http=True)


class Port(HttpPort):
    """The web port of a daemon in memory."""

    def __init__(self, folder, *sets):
        self.clock = Clock()
        super().__init__(make_environment(folder, self.clock, "access.trust_loopback=true", *sets))

    def publish(self, symbol, volume, id, channel="main", **more):
        body = {"publisher": "other", "signals": [{"id": id, "symbol": symbol, "volume": volume}]}
        return self.ask("POST", f"/v1/channels/{channel}/signals", {**body, **more})

    def epoch(self):
        return self.env.find(ISignals).channel("main").epoch


class Client:
    """A core on a port, over two connections whose bytes come in pieces of `size`."""

    def __init__(self, port, core, size=1_000_000, publishing=None):
        self.port, self.core, self.size, self.events = port, core, size, []
        self.driver = Driver(core, self, self.events.append)
        self.publishing = publishing or Publishing()
        self.connect()

    def connect(self):
        self.gateway, self.terminals = Gateway(ADDRESS, Posts(self.publishing)), {}
        self.gateway.opening(Road.POLL, self.now())
        self.dial(Road.POLL)
        self.driver.connected(self, FrameFraming(), "127.0.0.1")
        self.pump()

    # The clock and the connection of the driver

    def now(self):
        return self.port.clock.seconds()

    def call_later(self, delay, call):
        timer = self.port.clock.callLater(delay, call)
        return SimpleNamespace(cancel=lambda: timer.active() and timer.cancel())

    def write(self, data):
        self.gateway.send(data, self.now())

    def abort(self):
        self.lose("it was closed")

    def lose(self, reason):
        for terminal in self.terminals.values():
            terminal.hang_up()
        self.terminals = {}
        self.driver.lost(reason)

    # Bytes

    def dial(self, road):
        self.terminals[road] = self.port.dial()
        self.gateway.connected(road)

    def pump(self):
        """Carry bytes until nobody has any."""
        while any([self.carry(road) for road in Road]):
            pass
        if self.gateway.ending:
            self.lose(self.gateway.ending)

    def carry(self, road):
        if self.gateway.wants(road, self.now()) and road not in self.terminals:
            self.dial(road)
        if road not in self.terminals:
            return False
        asked = self.gateway.data_to_send(road, self.now())
        self.terminals[road].send(asked)
        self.port.clock.advance(0)
        self.port.clock.advance(0)
        data = self.terminals[road].received() if road in self.terminals else b""
        for start in range(0, len(data), self.size):
            piece = data[start : start + self.size]
            self.driver.received(self.gateway.receive(road, piece, self.now()))
        return bool(asked or data)

    def advance(self, seconds):
        for _ in range(round(seconds / 0.5)):
            self.port.clock.advance(0.5)
            self.gateway.expire(self.now())
            self.pump()

    def run(self, events=()):
        self.driver.run(events)
        self.pump()

    def take(self, *kinds):
        """Return the events of some kinds since the last call."""
        found, self.events[:] = [each for each in self.events if isinstance(each, kinds)], []
        return found


@pytest.fixture
def port(tmp_path):
    return Port(tmp_path / "data")


def follower(port, symbols=None, channel="main", kept=(None, 0, ""), login=None, **more):
    replica = Replica.of(channel, symbols, *kept, (), channel if kept[0] else "")
    return Client(port, FollowerCore(Session("desk/1", login), replica), **more)


def publisher(port, take="free", positions=None, **more):
    return Client(port, PublisherCore(Session("", None), "main", take, positions), **more)


def shown(events):
    return [(each.seq, each.symbol, str(each.volume)) for each in events]


# The follower


def view(port, verb="POST", path="/v1/views", **settings):
    name = {"view": "half"} if verb == "POST" else {}
    body = {**name, "settings": {"sources": ["main"], **settings}}
    assert port.ask(verb, path, body).status < 300


def test_the_limits_of_a_view_come_with_its_state_and_when_they_change(port):
    view(port, max_age=30, max_slippage=0.0005)
    half = follower(port, channel="half")
    assert (half.core.max_age, half.core.max_slippage) == (30.0, Decimal("0.0005"))
    view(port, "PUT", "/v1/views/half", max_age=7)
    port.publish("EURUSD", "0.25", "a")
    half.advance(1)
    assert half.core.max_age == 7.0
    assert shown(half.take(Signal)) == [(1, "EURUSD", "0.25")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 1_000_000])
def test_signals_come_once_and_in_order_however_the_stream_is_cut(port, size):
    port.publish("EURUSD", "0.25", "a")
    client = follower(port, size=size)
    assert [shown(each.positions) for each in client.take(State)] == [[(1, "EURUSD", "0.25")]]
    assert not client.core.blind
    for number in range(2, 5):
        port.publish("GBPUSD", f"0.{number}", f"b-{number}")
        client.pump()
    assert shown(client.take(Signal)) == [
        (2, "GBPUSD", "0.2"),
        (3, "GBPUSD", "0.3"),
        (4, "GBPUSD", "0.4"),
    ]


def test_a_follower_that_comes_again_gets_what_it_missed(port):
    client = follower(port)
    port.publish("EURUSD", "0.25", "a")
    client.pump()
    client.lose("it was cut")
    assert client.core.blind
    for number in range(600):  # more than one answer holds
        port.publish("EURUSD", f"0.{number + 100}", f"b-{number}")
    client.take()
    client.connect()
    assert [each.seq for each in client.take(Signal)] == list(range(2, 602))
    assert not client.core.blind


def test_a_quiet_channel_keeps_its_follower_seeing(port):
    client = follower(port)
    client.advance(40)
    assert not client.core.blind
    assert client.core.session.ending == ""


def test_a_server_that_does_not_answer_leaves_its_follower_blind(port):
    client = follower(port)
    client.terminals[Road.POLL].send = lambda data: None
    port.publish("EURUSD", "0.25", "a")
    client.pump()
    client.advance(13)
    assert client.core.blind
    assert "nothing was received for 12 s" in client.take(Blind)[-1].reason


def test_a_filter_leaves_signals_out_and_no_gap_is_seen(port):
    client = follower(port, symbols=["EURUSD"])
    for number, symbol in enumerate(["EURUSD", "GBPUSD", "GBPUSD", "EURUSD", "GBPUSD", "EURUSD"]):
        port.publish(symbol, f"0.{number + 1}", f"a-{number}")
        client.pump()
    assert [each.seq for each in client.take(Signal)] == [1, 4, 6]
    assert not client.core.session.ending


def test_another_history_waits_for_a_person(port):
    port.publish("EURUSD", "0.25", "a")
    client = follower(port, kept=("f" * 16, 9, "0" * 8))
    assert client.take(OtherHistory) == [OtherHistory("f" * 16, port.epoch())]
    assert client.core.replica.waiting is not None
    client.run(client.core.accept())
    assert shown(client.take(State)[0].positions) == [(1, "EURUSD", "0.25")]


def test_a_history_that_went_back_waits_for_a_person(port):
    port.publish("EURUSD", "0.25", "a")
    client = follower(port, kept=(port.epoch(), 5, "0" * 8))
    assert client.take(OtherHistory) == [OtherHistory(port.epoch(), port.epoch())]


def test_publisher_and_pause_are_told_as_they_change(port):
    port.publish("EURUSD", "0.25", "a")
    client = follower(port)
    assert [each.up for each in client.take(Provider)] == [True]
    port.ask("POST", "/v1/channels/main/freeze", {"confirm": "main"})
    client.pump()
    port.ask("POST", "/v1/channels/main/resume", {"confirm": "main"})
    client.pump()
    assert client.take(Paused) == [Paused("main", "frozen"), Paused("main", None)]


def test_a_channel_that_comes_later_is_asked_for_again(port):
    client = follower(port, channel="gold")
    assert client.take(Refused)[0].code == "channel"
    assert client.core.blind
    port.publish("XAUUSD", "1", "a", channel="gold")
    client.advance(5)
    assert shown(client.take(State)[0].positions) == [(1, "XAUUSD", "1")]


def test_a_wrong_login_is_refused_and_nothing_more_is_asked(port):
    client = follower(port, login=Login("alice", "wrong"))
    assert client.take(Refused)[0].code == "login"
    assert client.terminals == {}


def test_results_and_reports_go_beside_the_poll(port):
    client = follower(port)
    port.publish("EURUSD", "0.25", "a")
    client.pump()
    client.core.acknowledge(Ack("main", 1, "filled", "1.1"))
    client.core.session.send(report(Report(trading=True, leverage=500)))
    client.run()
    assert client.gateway.idle
    assert client.take(Refused) == []
    sessions = port.env.find(ISignals).channels.sessions
    assert [each.follower.acked for each in sessions] == [1]


# The publisher


def test_each_signal_is_confirmed_once_it_is_on_disk(port):
    client = publisher(port)
    ids = [client.core.publish(symbol, "0.25") for symbol in ("EURUSD", "GBPUSD", "XAUUSD")]
    client.run()
    assert client.take(Stored) == [Stored(each, seq + 1) for seq, each in enumerate(ids)]


def test_a_signal_without_an_answer_is_sent_again_and_stored_once(port):
    client = publisher(port)
    client.core.publish("EURUSD", "0.25", id="a")
    client.driver.run()
    client.dial(Road.POST)
    client.terminals[Road.POST].send(client.gateway.data_to_send(Road.POST, client.now()))
    client.lose("it was cut")
    client.connect()
    assert client.take(Stored) == [Stored("a", 1)]


def test_a_refused_signal_fails_alone(port):
    port.ask("POST", "/v1/channels/main/pause", {"confirm": "main"})
    port.publish("EURUSD", "0", "x")
    client = publisher(port, take="1")
    client.core.publish("EURUSD", "0.25", id="a")
    client.run()
    assert [(each.id, each.error.code) for each in client.take(Failed)] == [("a", "denied")]


def test_a_publisher_is_fenced_by_another_and_takes_when_it_is_to(port):
    port.publish("EURUSD", "0.25", "a")
    first = publisher(port)
    first.core.publish("EURUSD", "0.5")
    first.run()
    assert len(first.take(Fenced)) == 1
    second = publisher(port, take="1")
    second.core.publish("EURUSD", "0.5")
    second.run()
    assert len(second.take(Stored)) == 1
    assert port.publish("EURUSD", "0.1", "b").status == 409


def test_a_publisher_beside_another_fences_nobody(port):
    port.publish("EURUSD", "0.25", "a")
    client = publisher(port, take="0")
    client.core.publish("GBPUSD", "0.5", id="b")
    client.run()
    assert client.take(Stored) == [Stored("b", 2)]
    assert port.publish("EURUSD", "0.1", "c").status == 200


def test_a_quiet_publisher_stays_up_for_its_followers_and_is_told_that_it_is_fenced(port):
    client, watching = publisher(port), follower(port)
    client.core.publish("EURUSD", "0.25")
    client.run()
    for _ in range(10):
        client.advance(6)
        watching.advance(0.5)
    assert [each.up for each in watching.take(Provider)] == [False, True]
    port.publish("EURUSD", "0.5", "b", take=True)
    client.advance(11)
    assert len(client.take(Fenced)) == 1


def test_an_account_is_counted_against_its_channel(port):
    port.publish("EURUSD", "0.25", "a")
    held = [SimpleNamespace(symbol="GBPUSD", volume="1", ticket="", type="position", fields={})]
    client = publisher(port, take="1", positions=lambda: held)
    client.advance(25)
    found = port.ask("GET", "/v1/channels/main").json["positions"]
    assert [(each["symbol"], each["volume"]) for each in found] == [("GBPUSD", "1")]
    assert client.take(Synced) == []


# Answers of others


def answer(data, size=1_000_000, **more):
    exchange = Exchange("fx.example")
    exchange.ask("GET", "/")
    found = [exchange.receive(data[at : at + size]) for at in range(0, len(data), size)]
    return [each for each in found if each is not None], exchange


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"


@pytest.mark.parametrize("size", range(1, len(EARLY + CHUNKED) + 1))
def test_an_answer_in_chunks_is_whole_wherever_it_is_cut(size):
    found, exchange = answer(EARLY + CHUNKED, size)
    assert found == [Reply(200, b"abcde")]
    assert exchange.idle


def test_a_server_that_closes_after_its_answer_is_asked_on_another_connection():
    data = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]"
    found, exchange = answer(data)
    assert (found, exchange.idle, exchange.finished) == ([Reply(200, b"[]")], False, True)


@pytest.mark.parametrize(
    "data",
    [
        b"<<PING|time=1>>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * (MAX_ANSWER + 1),
    ],
)
def test_what_is_no_answer_ends_the_connection(data):
    with pytest.raises(ClientError):
        answer(data)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"error":"missing","text":"x"}',
        b'[{"channel":"main","epoch":7}]',
    ],
)
@pytest.mark.parametrize("status", [200, 302, 404, 502])
def test_a_server_of_another_kind_is_one_sentence(body, status):
    if (status, body) == (200, b"[]"):
        return  # a server without a channel
    gateway = Gateway(ADDRESS, Posts(Publishing()))
    gateway.connected(Road.POLL)
    gateway.send(b"<<HELLO|v=2>>\r\n", 0.0)
    gateway.data_to_send(Road.POLL, 0.0)
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    assert gateway.receive(Road.POLL, head + body, 0.0) == b""
    assert gateway.ending.startswith("the server")
