"""WebSockets of clients: handshake, messages, pings and closes; and sessions over them."""

import pytest
from fakes.transports import MemoryEndpoint
from fakes.websockets import WebSocketEnd, WebSocketSession
from follower_harness import Server as FollowerServer
from follower_harness import signal, snapshot
from publishing import FakeServer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from mtnet.client import Follower, Publisher, server_from_string
from mtnet.client.core.address import read_address
from mtnet.client.core.framing import Heartbeat, Unreadable
from mtnet.client.core.websocket import JsonFraming, LineSocketFraming, WebSocket
from mtnet.client.endpoints import WebSocketEndpoint
from mtnet.errors import ClientError, FrameError
from mtnet.services.signals.wire import answers
from mtnet.session import messages

ADDRESS = read_address("ws://fx.example:8083/ws")


class Pair:
    """A client's end and a server's end."""

    def __init__(self, client=None, **options):
        self.client = WebSocket(ADDRESS, "mtnet.v2") if client is None else client
        self.server = WebSocketEnd(**options)

    def to_server(self):
        return self.server.feed(self.client.data_to_send())

    def to_client(self, size=1_000_000):
        data, found = self.server.take_output(), []
        for start in range(0, len(data), size):
            found += self.client.receive(data[start : start + size])
        return found

    def open(self):
        self.to_server()
        self.to_client()
        return self


def test_the_handshake_names_the_server_the_path_and_the_sub_protocol():
    pair = Pair().open()
    asked = pair.server.asked
    assert (asked.host, asked.target, asked.subprotocols) == (
        "fx.example:8083",
        "/ws",
        ["mtnet.v2"],
    )


def test_messages_that_are_sent_before_the_server_accepts_arrive_behind_the_handshake():
    pair = Pair()
    pair.client.send("one")
    pair.client.send("two")
    assert pair.to_server() == []
    pair.to_client()
    assert pair.to_server() == ["one", "two"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1_000])
def test_messages_come_whole_however_the_stream_is_cut(size):
    pair = Pair().open()
    for text in ("", "a" * 200, "Газпром £", "b" * 70_000):
        pair.server.text(text)
    pair.server.text("begun ", finished=False)
    pair.server.ping()
    pair.server.text("and ended")
    found = pair.to_client(size)
    assert [each for each in found if isinstance(each, str)] == [
        "", "a" * 200, "Газпром £", "b" * 70_000, "begun and ended",
    ]  # fmt: skip
    assert found.count(Heartbeat()) == 1


def test_a_ping_is_answered_with_its_payload():
    pair = Pair().open()
    pair.server.ping()
    pair.to_client()
    pair.to_server()
    assert pair.server.pongs == [b"alive?"]


@pytest.mark.parametrize(
    ("happen", "said"),
    [
        (lambda server: server.close(1013, "slow"), r"is closed \(code 1013: slow\)"),
        (lambda server: server.close(1000), r"is closed \(code 1000\)"),
        (lambda server: server.text("x" * 1_100_000), "more than 1048576 characters"),
        (lambda server: setattr(server, "output", b"\xff" * 9), "is closed .code 1002"),
    ],
)
def test_the_end_of_a_websocket_is_one_sentence(happen, said):
    pair = Pair().open()
    happen(pair.server)
    with pytest.raises(ClientError, match=said):
        pair.to_client()


def test_a_close_is_answered():
    pair = Pair().open()
    pair.server.close(1013)
    with pytest.raises(ClientError):
        pair.to_client()
    pair.to_server()
    assert pair.server.closes == [1013]


def test_a_handshake_that_is_refused_is_one_sentence():
    pair = Pair(status=404)
    pair.to_server()
    with pytest.raises(ClientError, match="refuses the WebSocket with HTTP status 404"):
        pair.to_client()


@pytest.mark.parametrize("answer", [b"220 mail.example ready\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_of_another_kind_is_named_as_such(answer):
    pair = Pair()
    pair.server.output = answer
    with pytest.raises(ClientError, match=r"no WebSocket|refuses the WebSocket"):
        pair.to_client()


def test_leaving_says_so_once():
    pair = Pair().open()
    pair.client.end()
    pair.client.end()
    pair.to_server()
    assert pair.server.closes == [1001]


# What they carry


def test_requests_become_objects_and_answers_messages():
    pair = Pair(JsonFraming(ADDRESS))
    pair.client.send(messages.hello(name="one") + messages.ping("a%b"))
    pair.open()
    hello, ping = pair.to_server()
    assert hello == '{"verb":"HELLO","v":"2","name":"one"}'
    assert ping == '{"verb":"PING","t":"a%b"}'
    pair.server.text('{"verb":"STORED","id":"7","seq":3}')
    pair.server.text('{"verb":"STORED","id":')
    pair.server.text('{"verb":"SIGNAL","seq":{}}')
    stored, *unreadable = pair.to_client()
    assert answers.read_answer(stored) == answers.Stored("7", 3)
    assert [type(each) for each in unreadable] == [Unreadable, Unreadable]
    assert unreadable[1].verb == "SIGNAL"


def test_lines_come_out_of_messages_and_go_into_them():
    pair = Pair(LineSocketFraming(ADDRESS))
    pair.client.send(b"SUBSCRIBE: *")
    pair.open()
    assert pair.server.asked.subprotocols == ["mtnet.ticks"]
    assert pair.to_server() == ["SUBSCRIBE: *\r\n"]
    pair.server.text("OK: SUBSCRIBED *\r\nTICK: A 1 - - - - - 1\r\n")
    pair.server.text("TICK: B 1 - - - - - 1")
    pair.server.ping()
    assert pair.to_client() == [
        b"OK: SUBSCRIBED *", b"TICK: A 1 - - - - - 1", b"TICK: B 1 - - - - - 1",
    ]  # fmt: skip
    pair.server.text("x" * 20_000)
    with pytest.raises(FrameError):
        pair.to_client()


@pytest.mark.parametrize("size", [10, 5_000, 16_382])
def test_a_batch_of_lines_goes_in_messages_that_a_server_reads(size):
    pair = Pair(LineSocketFraming(ADDRESS)).open()
    lines = [b"x" * size for _ in range(9)]
    pair.client.send(b"\n".join(lines))
    found = pair.to_server()
    assert "".join(found) == "".join(each.decode() + "\r\n" for each in lines)
    assert all(len(each) <= 16_384 and each.endswith("\r\n") for each in found)
    assert len(found) == -(-9 * (size + 2) // (16_384 // (size + 2) * (size + 2)))


# Followers and publishers of Twisted over them


class Line:
    """An endpoint of a WebSocket in memory, and its server."""

    def __init__(self, server):
        server.session = WebSocketSession
        self.clock, self.server = Clock(), server
        self.line = MemoryEndpoint(server, self.clock)
        self.endpoint = WebSocketEndpoint(self.line, ADDRESS)

    def settle(self):
        self.line.settle()

    @property
    def session(self):
        return self.line.connection.server.protocol

    def wait(self, seconds):
        for _ in range(seconds):
            self.settle()
            self.clock.advance(1)
        self.settle()


def test_a_follower_follows_over_a_websocket_and_comes_back_with_what_it_knows():
    line, got = Line(FollowerServer()), []
    line.server.answer = lambda asked: snapshot(1, "A", h="00000001")
    follower = Follower(line.endpoint, line.clock, on_signal=got.append)
    follower.startService()
    line.settle()
    assert (follower.blind, follower.seq, list(follower.positions)) == (False, 1, [("A", "")])
    line.session.say(signal(2, "B", "0.10", h="00000002"))
    line.settle()
    assert [(each.seq, str(each.volume)) for each in got] == [(2, "0.10")]
    line.line.connection.cut()
    line.server.answer = lambda asked: answers.synced("main", asked.epoch, 2, asked.h)
    line.wait(3)
    assert (line.server.asked[-1].after, line.server.asked[-1].h) == (2, "00000002")
    follower.stopService()
    line.settle()
    assert line.session.end.closes == [1001]


def test_pings_keep_a_quiet_websocket_and_silence_makes_blind():
    line, told = Line(FollowerServer()), []
    line.server.answer = lambda asked: snapshot(1, "A")
    follower = Follower(line.endpoint, line.clock, on_blind=told.append)
    follower.startService()
    for _ in range(100):
        line.wait(5)
        line.session.end.ping()
        line.session.flush()
    assert told == [""]
    assert len(line.session.end.pongs) >= 99
    line.wait(13)
    assert "nothing was received for 12 s" in told[1]


def test_a_pause_that_ended_while_nothing_was_heard_ends_at_the_next_ping():
    line, told = Line(FollowerServer()), []
    line.server.answer = lambda asked: snapshot(1, "A") + answers.paused("main", "frozen")
    follower = Follower(line.endpoint, line.clock, on_paused=told.append)
    follower.startService()
    line.settle()
    line.server.answer = lambda asked: snapshot(1, "A")
    line.line.connection.cut()
    line.wait(3)
    line.session.end.ping()
    line.session.flush()
    line.settle()
    assert told == ["frozen", None]


def test_a_publisher_publishes_over_a_websocket():
    line, answers = Line(FakeServer()), []
    publisher = Publisher(line.endpoint, line.clock)
    publisher.startService()
    publisher.publish("Газпром £", "0.25", comment="a,b|c%").addCallback(answers.append)
    line.settle()
    assert answers == [1]
    assert line.server.published == ["Газпром £ 0.25"]


def test_a_websocket_that_the_server_closes_is_dialled_again():
    line, told = Line(FollowerServer()), []
    follower = Follower(line.endpoint, line.clock, on_blind=told.append)
    follower.startService()
    line.settle()
    line.session.end.close(1013, "slow")
    line.session.flush()
    line.wait(3)
    assert "closed (code 1013: slow)" in told[1]
    assert told[2] == ""


@pytest.mark.parametrize("text", ["ws://127.0.0.1:8083", "wss://fx.example"])
def test_an_endpoint_of_a_websocket_is_made_of_its_url(text):
    assert isinstance(server_from_string(MemoryReactorClock(), text), WebSocketEndpoint)


def test_a_client_that_speaks_no_websocket_says_so():
    line = Line(FakeServer())
    with pytest.raises(ClientError, match="speaks no WebSocket, but tcp: and secure:"):
        line.endpoint.connect(Factory.forProtocol(Protocol))
