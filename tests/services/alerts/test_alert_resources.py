"""Heartbeats and mutes by HTTP, and the sign of life to another machine."""

import json

import pytest
from fakes.daemon import FakeDaemon, basic
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from mtnet.errors import JournalError
from mtnet.services.alerts.heartbeat_out import TIMEOUT, HeartbeatSender
from mtnet.services.alerts.resources import NOT_STORED
from mtnet.services.alerts.settings import HeartbeatOut
from mtnet.services.alerts.store import AlertStore

GRANTS = {"bob": ("follow",), "boss": ("admin",)}
RULE = "alerts.disk.when=disk_low < 5GiB"


@pytest.fixture
def daemon(tmp_path):
    return FakeDaemon(tmp_path, Clock(), "alerts.dead.when=heartbeat_missing > 60s", grants=GRANTS)


@pytest.fixture
def token(daemon):
    tokens = []
    command = daemon.env.components.commands()["alerts heartbeat add"]
    command({"name": "backup"}).addCallback(tokens.append)
    return tokens[0].encode()


@pytest.fixture
def logged():
    events = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def ask(daemon, line, login="", body=b"", **addresses):
    head = b"%b HTTP/1.1\r\nHost: localhost\r\n" % line
    if login:
        head += b"Authorization: %b\r\n" % basic(login)
    head += b"Content-Length: %d\r\n\r\n" % len(body)
    answer = daemon.ask("web", head + body, **addresses)
    return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_who_knows_the_token_gives_a_sign_of_life_without_a_login(daemon, token, method):
    assert ask(daemon, b"%b /v1/heartbeat/%b" % (method, token)) == (204, b"")
    [row] = daemon.env.components.commands()["alerts heartbeats"]({})
    assert row["last"] is not None


def test_unknown_tokens_are_refused_then_limited_and_never_punished(daemon, token):
    statuses = [ask(daemon, b"GET /v1/heartbeat/%032x" % n)[0] for n in range(40)]
    assert statuses == [404] * 30 + [429] * 10
    assert ask(daemon, b"GET /v1/heartbeat/%b" % token)[0] == 204
    assert daemon.env.access.bans.rows(daemon.clock.seconds()) == []


def test_no_token_is_logged_however_the_request_is_refused(daemon, token, logged):
    for line in (b"GET /v1/heartbeat/%b0", b"PUT /v1/heartbeat/%b", b"GET /v1/heartbeats/%b"):
        assert ask(daemon, line % token)[0] in (404, 405)
    lines = [formatEvent(event) for event in logged]
    assert any("is refused" in line for line in lines)
    assert not any(token.decode() in line for line in lines)


def test_an_admin_login_mutes_an_alert_and_others_do_not(daemon):
    line, body = b"POST /v1/alerts/dead/mute", b'{"seconds": 60}'
    assert ask(daemon, line, "bob", body)[0] == 403
    assert ask(daemon, line, "", body)[0] in (401, 403)
    assert ask(daemon, line, "boss", body)[0] == 204
    [row] = json.loads(ask(daemon, b"GET /v1/alerts", "boss")[1])
    assert row["muted"]
    assert ask(daemon, line, "boss", b'{"seconds": 0}')[0] == 204
    assert not json.loads(ask(daemon, b"GET /v1/alerts", "boss")[1])[0]["muted"]
    assert ask(daemon, b"POST /v1/alerts/none/mute", "boss", body)[0] == 422
    for seconds in (b"1e300", b"-5", b"31622401"):
        assert ask(daemon, line, "boss", b'{"seconds": %b}' % seconds)[0] == 422
    assert not json.loads(ask(daemon, b"GET /v1/alerts", "boss")[1])[0]["muted"]


@pytest.mark.parametrize(("method", "seconds"), [("mute", 60), ("unmute", 0)])
def test_a_mute_that_the_disk_does_not_take_is_told_in_words_of_the_service(
    daemon, monkeypatch, method, seconds
):
    def fails(*_):
        raise JournalError("/srv/data/alerts.sqlite cannot be written: no space left.")

    monkeypatch.setattr(AlertStore, method, fails)
    body = json.dumps({"seconds": seconds}).encode()
    status, answer = ask(daemon, b"POST /v1/alerts/dead/mute", "boss", body)
    assert (status, json.loads(answer)) == (503, {"error": "server", "text": f"{NOT_STORED}."})
    assert not json.loads(ask(daemon, b"GET /v1/alerts", "boss")[1])[0]["muted"]


# To another machine


class Response:
    def __init__(self, code):
        self.code, self.phrase, self.length = code, b"OK", 0

    def deliverBody(self, protocol):
        protocol.makeConnection(StringTransport())
        protocol.connectionLost(Failure(ResponseDone()))


class Agent:
    def __init__(self):
        self.urls, self.answer = [], lambda: succeed(Response(200))

    def request(self, method, url):
        self.urls.append((method, url))
        return self.answer()


def test_a_sign_of_life_is_given_each_minute_while_the_daemon_is_healthy():
    clock, agent, health = Clock(), Agent(), {"healthy": True}
    sender = HeartbeatSender(HeartbeatOut(url="https://hc.example/x"), agent, clock, lambda: health)
    sender.start()
    clock.pump([60] * 2)
    assert agent.urls == [(b"GET", b"https://hc.example/x")] * 3
    health["healthy"] = False
    clock.pump([60] * 2)
    assert len(agent.urls) == 3
    sender.stop()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda: succeed(Response(302)), "it answers 302"),
        (lambda: fail(ConnectionRefusedError("secret-url")), "ConnectionRefusedError"),
        (Deferred, "TimeoutError"),
    ],
)
def test_a_sign_of_life_that_does_not_arrive_is_known_without_its_url(answer, why, logged):
    clock, agent = Clock(), Agent()
    url = "https://hc.example/secret-url"
    sender = HeartbeatSender(HeartbeatOut(url=url), agent, clock, lambda: {"healthy": True})
    agent.answer = answer
    sender.start()
    clock.advance(TIMEOUT)
    assert sender.last == why
    assert not any("secret-url" in formatEvent(event) for event in logged)
    agent.answer = lambda: succeed(Response(204))
    clock.advance(60)
    assert sender.last == ""
