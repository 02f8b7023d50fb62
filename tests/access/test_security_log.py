"""Log lines of logins, bans and greetings, in the form that a filter reads."""

import re
from base64 import b64encode
from pathlib import Path

import pytest
from fakes.daemon import LOCAL, PASSWORD, REMOTE, TOKEN, FakeDaemon, basic, hello
from twisted.internet.address import IPv4Address
from twisted.logger import formatEvent

from mtnet.access.security_log import REQUESTS, Origin, SecurityLog
from mtnet.net.admission import BanFilterFactory
from mtnet.net.endpoints import Listener
from mtnet.net.peer import ListenerAccess

LINE = re.compile(
    r"(login accepted|login refused|hello refused|connection refused|ban begins|ban lifted):"
    r"( [a-z]+=\S+)+"
)
PEER = "peer=127.9.9.9:50000"


@pytest.fixture
def daemon(tmp_path, clock):
    return FakeDaemon(tmp_path / "data", clock)


@pytest.fixture
def lines(log):
    """Return the lines that were logged so far and have the form."""

    seen = []

    def take():
        found = [line for line in map(formatEvent, [*log][len(seen) :]) if LINE.fullmatch(line)]
        seen[:] = log
        return found

    return take


def request(value):
    return b"GET /templates HTTP/1.1\r\nHost: localhost\r\nAuthorization: %b\r\n\r\n" % value


def login_on(service, name, password):
    """Return the bytes that log in at a service."""
    return {
        "signals": hello(name, password),
        "ticks": f"LOGIN: {name} {password}\r\n".encode(),
        "templates": f"STORE EURUSD H1 9 {name} {password}\r\n".encode(),
        "web": request(basic(name, password)),
    }[service]


@pytest.mark.parametrize("service", ["signals", "ticks", "templates", "web"])
def test_each_login_good_or_bad_is_one_line_on_every_port(daemon, lines, service):
    daemon.say(daemon.dial(service), login_on(service, "bob", TOKEN))
    where = f"service={service} endpoint=tcp:1 {PEER}"
    assert lines() == [f"login accepted: {where} login=bob"]
    daemon.say(daemon.dial(service), login_on(service, "alice", "wrong-horse"))
    assert lines() == [f"login refused: {where} login=alice why=wrong"]


FILTERED = "login refused: service=a endpoint=b peer=[2001:db8::1]:7 login=- why=wrong"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f" [mtnet.access.security_log.SecurityLog#warn] {FILTERED}", True),
        (f"pc twistd[7]: T+00 [mtnet.access.security_log.SecurityLog#warn] {FILTERED}", True),
        (
            f"T [mtnet.services.web.http.ApiSite#warn] HTTP: a peer is refused 'GET' '{FILTERED}",
            False,
        ),
        (f"T [a#warn] '[mtnet.access.security_log.SecurityLog#warn] {FILTERED}", False),
        (f"T [mtnet.access.security_log.SecurityLog#warn] {FILTERED}'…", False),
    ],
)
def test_the_filter_of_the_docs_takes_lines_of_this_log_alone(line, found):
    docs = Path(__file__).parents[2] / "docs" / "accounts.md"
    (pattern,) = re.findall(r"^failregex = (.*)$", docs.read_text("utf-8"), re.MULTILINE)
    match = re.search(pattern.replace("<ADDR>", "(?P<ip>[0-9a-f:.]+)"), line)
    assert (match is not None) is found
    assert match is None or match["ip"] == "2001:db8::1"


def test_logins_with_old_tokens_leave_room_in_the_log_for_guesses(log):
    lines = SecurityLog(lambda: 0.0)
    for why in ["withdrawn"] * 9 + ["wrong"] * 9:
        lines.refused(Origin("192.0.2.7"), why)
    got = [event["why"] for event in log]
    assert got == ["withdrawn"] * 5 + ["wrong"] * 5


@pytest.mark.parametrize("service", ["signals", "ticks", "templates", "web"])
def test_an_unknown_login_may_be_a_password_and_is_not_logged(daemon, log, service):
    daemon.say(daemon.dial(service), login_on(service, "secret-canary", "wrong-horse"))
    got = [formatEvent(event) for event in log]
    assert any("login=- why=wrong" in line for line in got)
    assert not [line for line in got if "canary" in line or "wrong-horse" in line]


def test_a_login_over_http_is_logged_once_however_many_requests_repeat_it(daemon, lines, clock):
    for _ in range(3):
        daemon.say(daemon.dial("web"), request(basic("alice")))
    assert len(lines()) == 1
    clock.advance(REQUESTS)
    daemon.say(daemon.dial("web"), request(basic("alice")))
    assert len(lines()) == 1


def test_a_guesser_cannot_fill_the_log(daemon, lines):
    for _ in range(20):
        daemon.say(daemon.dial("ticks"), login_on("ticks", "alice", "wrong-horse"))
    got = [line for line in lines() if line.startswith("login refused")]
    assert [line.rpartition("=")[2] for line in got] == ["wrong"] * 2 + ["banned"] * 5
    assert daemon.env.access.log.left_out > 0


def test_a_ban_is_logged_when_it_begins_and_so_are_connections_during_it(daemon, lines):
    for _ in range(2):
        daemon.say(daemon.dial("ticks"), login_on("ticks", "alice", "wrong-horse"))
    assert [line for line in lines() if line.startswith("ban")] == [
        "ban begins: network=127.9.9.9 login=alice seconds=15 why=login",
        "ban begins: network=127.9.9.9 login=- seconds=15 why=login",
    ]
    barrier = BanFilterFactory(
        daemon.factory("ticks"), ListenerAccess(daemon.env, Listener("ticks", "tcp:1"))
    )
    assert barrier.buildProtocol(IPv4Address("TCP", "127.9.9.9", 50_000)) is None
    assert lines() == [f"connection refused: service=ticks endpoint=tcp:1 {PEER} why=banned"]


@pytest.mark.parametrize(
    ("said", "why"),
    [(b"<<HELLO|v=2>>", "no-login"), (b"<<HELLO|v=x>>", "field")],
)
def test_a_refused_greeting_is_logged_once(daemon, lines, said, why):
    daemon.say(daemon.dial("signals"), said)
    assert lines() == [f"hello refused: service=signals endpoint=tcp:1 {PEER} why={why}"]


@pytest.mark.parametrize("service", ["signals", "ticks", "templates", "web"])
def test_a_password_over_a_plain_connection_is_logged_once(daemon, lines, service):
    terminal = daemon.dial(service, **REMOTE)
    daemon.say(terminal, login_on(service, "bob", TOKEN))
    (line,) = lines()
    assert line.startswith(f"login refused: service={service} ")
    assert line.endswith(" login=- why=plain")


def test_an_old_token_is_refused_and_not_punished(daemon, lines):
    daemon.change("bob", grants=["follow:signals/gold"], disabled=True)
    for _ in range(9):
        terminal = daemon.dial("signals")
        assert b"ERROR|code=login" in daemon.say(terminal, hello("bob", TOKEN))
    assert lines()[0].endswith("login=bob why=disabled")
    assert daemon.env.access.bans.offences["login"] == 0
    assert daemon.env.access.bans.ban_left(LOCAL["peer"], 0.0) == 0


def test_basic_credentials_of_mql_can_end_in_one_nul(daemon):
    for end, status in ((b"", b"200"), (b"\0", b"200"), (b"\0\0", b"401")):
        value = b"Basic " + b64encode(b"alice:" + PASSWORD.encode() + end)
        for service in ("web", "templates"):
            answer = daemon.say(daemon.dial(service), request(value))
            assert answer.startswith(b"HTTP/1.1 " + status), (service, end)
