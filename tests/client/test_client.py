"""What Python programs use: follow and the templates, without a reactor."""

import json
from decimal import Decimal

import pytest
from fakes.servers import Outcome, Server, answer
from twisted.internet.error import (
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from mtnet import client
from mtnet.client import Templates, follow


@pytest.fixture
def clock():
    return Clock()


# follow


class Received:
    """A follower that is started, and what it was told."""

    def __init__(self, server, clock):
        self.positions, self.states = [], []
        self.service = follow(
            server,
            lambda *position: self.positions.append(position),
            clock,
            on_connected=lambda: self.states.append("connected"),
            on_lost=self.states.append,
        )
        self.service.startService()


def test_a_follower_is_told_every_position_however_the_stream_is_cut(clock):
    server = Server()
    heard = Received(server, clock)
    for byte in b"<<GBPUSD|0.25>>\r\n<<EURUSD|-1.00>>\r\n":
        server.end.protocol.dataReceived(bytes([byte]))
    assert heard.positions == [("GBPUSD", Decimal("0.25")), ("EURUSD", Decimal("-1.00"))]
    assert server.end.value() == b"", "a follower says nothing"


def test_a_follower_connects_again_and_says_so(clock):
    server = Server()
    heard = Received(server, clock)
    server.end.protocol.dataReceived(b"<<GBP")
    server.end.close(ConnectionLost())
    clock.advance(client.LONGEST_DELAY)
    assert len(server.connections) == 2
    server.end.protocol.dataReceived(b"<<EURUSD|1.00>>")
    assert heard.positions == [("EURUSD", Decimal("1.00"))], "the old half frame is forgotten"
    assert heard.states[0] == heard.states[2] == "connected"
    assert len(heard.states) == 3


def test_a_frame_that_is_no_position_is_logged_and_left_out(clock):
    server = Server()
    heard = Received(server, clock)
    with capturedLogs() as logged:
        server.end.protocol.dataReceived(b"<<GBPUSD|much>><<EURUSD|1.00>>")
    assert heard.positions == [("EURUSD", Decimal("1.00"))]
    assert "GBPUSD|much" in str(logged[0]["error"])


def test_a_stream_without_frames_ends_the_connection(clock):
    server = Server()
    Received(server, clock)
    server.end.protocol.dataReceived(b"x" * 5_000)
    assert server.end.aborted


def test_a_follower_can_be_asked_whether_its_first_attempt_failed(clock):
    service = follow(Server(ConnectionRefusedError(111, "Connection refused")), print, clock)
    outcome = Outcome(service.whenConnected(failAfterFailures=1))
    service.startService()
    assert isinstance(outcome.errors[0], ConnectionRefusedError)


# templates


def request_line(server):
    return server.end.value().split(b"\r\n")[0].decode()


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({}, "GET /templates/GBPUSD/H1 HTTP/1.1"),
        ({"symbol": "A/B #?é"}, "GET /templates/A%2FB%20%23%3F%C3%A9/H1 HTTP/1.1"),
        ({"version": 3}, "GET /templates/GBPUSD/H1?version=3 HTTP/1.1"),
        (
            {"version": 3, "platform": "mt4"},
            "GET /templates/GBPUSD/H1?version=3&platform=mt4 HTTP/1.1",
        ),
    ],
)
def test_get_asks_for_one_template_by_its_escaped_name(clock, asked, line):
    server = Server()
    Templates(server, clock).get(**{"symbol": "GBPUSD", "period": "H1", **asked})
    assert request_line(server) == line
    assert b"Host: localhost\r\n" in server.end.value()


def test_get_returns_the_bytes_as_they_are(clock):
    server = Server()
    outcome = Outcome(Templates(server, clock).get("GBPUSD", "H1"))
    answer(server, b"\xff\xfe<\0c\0")
    assert outcome.values == [b"\xff\xfe<\0c\0"]
    assert not clock.getDelayedCalls()


def test_put_sends_the_content_and_returns_what_became_of_it(clock):
    server = Server()
    outcome = Outcome(Templates(server, clock).put("GBPUSD", "H1", b"<chart>"))
    assert request_line(server) == "PUT /templates/GBPUSD/H1 HTTP/1.1"
    assert b"Content-Length: 7\r\n" in server.end.value()
    assert server.end.value().endswith(b"\r\n\r\n<chart>")
    answer(server, b'{"version": 2}', "201 Created")
    assert outcome.values == [{"version": 2}]


def test_list_returns_what_the_server_says_of_each(clock):
    server = Server()
    outcome = Outcome(Templates(server, clock).list())
    assert request_line(server) == "GET /templates HTTP/1.1"
    answer(server, b'[{"symbol": "GBPUSD"}]')
    assert outcome.values == [[{"symbol": "GBPUSD"}]]


def test_a_refusal_is_told_in_the_words_of_the_server(clock):
    server = Server()
    outcome = Outcome(Templates(server, clock).get("GBPUSD", "H1"))
    body = json.dumps({"error": "missing", "text": "No template of GBPUSD H1."}).encode()
    answer(server, body, "404 Not Found")
    assert outcome.sentence == "No template of GBPUSD H1."


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b""])
def test_a_refusal_without_words_is_told_with_its_status(clock, body):
    server = Server()
    outcome = Outcome(Templates(server, clock).list())
    answer(server, body, "502 Bad Gateway")
    assert "not mtnet" in outcome.sentence
    assert "502" in outcome.sentence


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[1]", b""])
def test_an_answer_that_is_not_the_json_asked_for_is_no_mtnet(clock, body):
    server = Server()
    outcome = Outcome(Templates(server, clock).list())
    answer(server, body)
    assert "not mtnet" in outcome.sentence


def test_a_template_that_was_cut_off_is_no_template(clock):
    server = Server()
    outcome = Outcome(Templates(server, clock).get("GBPUSD", "H1"))
    answer(server, b"<chart>", length=8)
    assert outcome.waits
    server.end.close()
    assert "cut off" in outcome.sentence


def test_an_answer_without_end_is_cut_off(clock, monkeypatch):
    monkeypatch.setattr("mtnet.client.templates.MAX_ANSWER", 10)
    server = Server()
    outcome = Outcome(Templates(server, clock).get("GBPUSD", "H1"))
    answer(server, b"x" * 10, length=99)
    assert outcome.waits
    server.end.protocol.dataReceived(b"x")
    assert "longer than 10 bytes" in outcome.sentence
    assert server.end.gone


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nxx"])
def test_an_answer_that_does_not_come_in_time_is_given_up(clock, sent):
    server = Server()
    outcome = Outcome(Templates(server, clock, timeout=4).get("GBPUSD", "H1"))
    server.end.protocol.dataReceived(sent)
    clock.advance(4)
    assert outcome.sentence == "No whole answer within 4 s."
    assert server.end.gone


@pytest.mark.parametrize("sent", [b"", b"220 mail ready\r\n"])
def test_a_server_that_speaks_no_http_is_told_apart(clock, sent):
    server = Server()
    outcome = Outcome(Templates(server, clock).list())
    if sent:
        server.end.protocol.dataReceived(sent)
    if not server.end.gone:
        server.end.close()
    assert "not an HTTP server" in outcome.sentence


def test_templates_tell_why_there_is_no_connection(clock):
    server = Server(ConnectionRefusedError(111, "Connection refused"))
    assert Outcome(Templates(server, clock).list()).sentence == "No connection: Connection refused."
