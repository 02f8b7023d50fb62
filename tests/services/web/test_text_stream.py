"""The stream of ticks over WebSocket: whole lines in text messages."""

import pytest
from fakes.daemon import LOCAL, FakeDaemon, basic
from fakes.websocket_bytes import BINARY, CLOSE, PING, PONG, WebSocketTerminal, close, frame

from mtnet.interfaces import ITicks
from mtnet.net.endpoints import Listener
from mtnet.testing import connect, make_environment

TICKS = {"Sec_WebSocket_Protocol": "mtnet.ticks"}


class Server:
    def __init__(self, folder, clock, *sets):
        self.clock, self.env = clock, make_environment(folder, clock, *sets)

    def open(self, port="web", **headers):
        terminal = connect(self.env.factory(port, Listener(port, "tcp:1")), self.clock)
        client = WebSocketTerminal(terminal, **TICKS, **headers)
        assert client.answer.headers["sec-websocket-protocol"] == "mtnet.ticks"
        return client

    def say(self, client, *messages):
        """Send messages; return the texts of the answers."""
        client.send(*messages)
        self.clock.advance(0)
        return texts(client)


@pytest.fixture
def server(tmp_path, clock):
    return Server(tmp_path / "data", clock)


def texts(client):
    return [each.payload.decode() for each in client.received()]


@pytest.mark.parametrize("port", ["web", "any"])
def test_lines_are_taken_and_ticks_come_as_whole_lines(server, port):
    follower, sender = server.open(port), server.open(port)
    assert server.say(follower, "SUBSCRIBE: EURUSD GBPUSD") == ["OK: SUBSCRIBED EURUSD GBPUSD\r\n"]
    assert server.say(sender, "EURUSD 1.1 1.2\r\nGBPUSD 1.3", "USDJPY 150\n") == []
    server.clock.advance(1)
    (message,) = texts(follower)
    assert message == (
        "TICK: EURUSD 1.1 1.2 - - - - 1700000000000\r\nTICK: GBPUSD 1.3 - - - - - 1700000000000\r\n"
    )
    assert server.say(sender, "SYNC:") == ["OK: SYNC 3\r\n"]


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\0", "\r"])
def test_the_last_line_of_a_message_needs_no_separator(server, end):
    client = server.open()
    assert server.say(client, f"EURUSD 1.1{end}", "SYNC:") == ["OK: SYNC 1\r\n"]


def test_errors_and_answers_are_those_of_the_stream(server):
    answers = server.say(server.open(), "PING:", "SING: x", "EURUSD much")
    assert answers[0] == "OK: PONG\r\n"
    assert [each.partition(" ")[0] for each in answers[1:]] == ["ERR:", "ERR:"]


def test_it_is_pinged_every_twenty_seconds_and_closed_without_an_answer(server, clock):
    client = server.open()
    server.say(client, "PING:")
    for _ in range(5):
        clock.pump([1.0] * 20)
        (ping,) = client.received()
        assert ping.opcode == PING
        client.send(frame(b"", PONG))
    clock.pump([1.0] * 81)
    said = client.received()
    assert [each.opcode for each in said] == [PING] * 3 + [CLOSE]
    assert said[-1].code == 1001
    assert client.terminal.transport.ended


def test_a_ping_is_answered(server):
    client = server.open()
    client.send(frame(b"x", PING))
    assert [each[:2] for each in client.received()] == [(PONG, b"x")]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (close(1000), 1000),
        (frame(b"x", BINARY), 1003),
        (frame(b"\xff"), 1007),
        (frame(b"x" * 65_537), 1009),
    ],
)
def test_a_connection_is_closed_with_a_code(server, clock, sent, code):
    client = server.open()
    server.say(client, "SUBSCRIBE: *")
    client.send(sent)
    clock.advance(0)
    (last,) = client.received()
    assert (last.opcode, last.code) == (CLOSE, code)
    assert client.terminal.transport.ended
    server.say(server.open(), "EURUSD 1.1")
    clock.advance(1)
    assert client.received() == []
    client.terminal.hang_up()
    assert server.env.find(ITicks).feed.subscribers == {}


def test_records_before_a_close_are_stored(server, clock):
    client = server.open()
    client.send("EURUSD 1.1", "EURUSD 1.2", close(1000))
    clock.advance(0)
    client.terminal.hang_up()
    assert server.say(server.open(), "SUBSCRIBE: EURUSD")[-1].startswith("TICK: EURUSD 1.2")


def test_a_subscriber_that_does_not_read_gets_conflated_ticks(server, clock):
    client, sender = server.open(), server.open()
    server.say(client, "SUBSCRIBE: *")
    client.terminal.transport.stalled = True
    for number in range(700):
        server.say(sender, *[f"S{symbol} {number + 1}" for symbol in range(40)])
    client.terminal.transport.stalled = False
    client.terminal.transport.drain()
    clock.advance(1)
    lines = "".join(texts(client)).split("\r\n")
    assert any("~" in line for line in lines)
    last = {line.split()[1]: line.split()[2] for line in lines if line}
    assert set(last.values()) == {"700"}


def test_a_login_counts_as_on_the_stream(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock)
    stranger = WebSocketTerminal(daemon.dial("web", **LOCAL), **TICKS)
    stranger.send("EURUSD 1.1")
    clock.advance(0)
    assert texts(stranger)[0].startswith("ERR: denied")
    header = {"Authorization": basic("bob").decode()}
    bob = WebSocketTerminal(daemon.dial("web", **LOCAL), **TICKS, **header)
    bob.send("EURUSD 1.1", "SYNC:", "SUBSCRIBE: GBPUSD")
    clock.advance(0)
    synced, denied = texts(bob)
    assert synced == "OK: SYNC 1\r\n"
    assert denied.startswith("ERR: denied This connection may not read")


def test_browsers_are_sent_many_ticks_compressed(server, clock):
    offer = {"Sec_WebSocket_Extensions": "permessage-deflate", "Origin": "http://localhost"}
    client = server.open(**offer)
    server.say(client, "SUBSCRIBE: *")
    server.say(server.open(), "\n".join(f"S{number} 1.1 1.2" for number in range(50)))
    clock.advance(1)
    (message,) = client.received()
    assert message.compressed
    assert message.payload.count(b"TICK: ") == 50
