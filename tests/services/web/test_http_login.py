"""HTTP with accounts: Basic, Bearer, and what a refusal says."""

import pytest
from fakes.daemon import PASSWORD, REMOTE, TOKEN, FakeDaemon, basic
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent

from mtnet.interfaces import ITemplates

TEMPLATE = b"<chart>\nsymbol=EURUSD\nperiod=60\n</chart>\n"


@pytest.fixture
def build(tmp_path, clock):
    def make(*sets, **more):
        daemon = FakeDaemon(tmp_path / "data", clock, *sets, **more)
        for symbol in ("EURUSD", "GBPUSD"):
            daemon.env.find(ITemplates).library.store(symbol, "H1", TEMPLATE, 1)
        return daemon

    return make


@pytest.fixture
def daemon(build):
    return build()


def request(method="GET", path="/templates", authorization=b"", body=b"", more=b""):
    said = b"Authorization: " + authorization + b"\r\n" if authorization else b""
    length = b"Content-Length: %d\r\n" % len(body)
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
        + said
        + more
        + (length + b"\r\n" + body)
    )


def status(answer):
    return int(answer.split()[1])


def test_a_stranger_is_asked_for_a_login(daemon):
    answer = daemon.ask("web", request())
    assert status(answer) == 401
    assert b'WWW-Authenticate: Basic realm="mtnet"' in answer


def test_basic_logs_in(daemon):
    assert status(daemon.ask("web", request(authorization=basic("alice")))) == 200


def test_a_token_logs_in_and_may_less_than_its_account(daemon):
    said = b"Bearer " + TOKEN.encode()
    assert status(daemon.ask("web", request(authorization=said))) == 403
    assert daemon.env.access.authenticator.counts == {"right": 1}


def test_an_account_sees_and_gets_what_it_may(daemon):
    said = basic("bob")
    assert b"GBPUSD" not in daemon.ask("web", request(authorization=said))
    assert (
        status(daemon.ask("web", request(path="/templates/EURUSD/H1", authorization=said))) == 200
    )
    assert (
        status(daemon.ask("web", request(path="/templates/GBPUSD/H1", authorization=said))) == 403
    )


def test_storing_needs_the_right_to_store(daemon):
    answers = [
        daemon.ask("web", request("PUT", "/templates/XAUUSD/H1", basic(name), TEMPLATE))
        for name in ("bob", "alice")
    ]
    assert list(map(status, answers)) == [403, 201]


def test_a_login_is_of_one_request(daemon):
    terminal = daemon.dial("web")
    assert status(daemon.say(terminal, request(authorization=basic("alice")))) == 200
    assert status(daemon.say(terminal, request())) == 401


def test_a_wrong_login_is_refused_and_soon_kept_out(daemon):
    wrong = request(authorization=basic("alice", "guess-canary"))
    answers = [daemon.ask("web", wrong) for _ in range(3)]
    assert list(map(status, answers)) == [401, 401, 429]
    assert b"Retry-After: " in answers[2]
    assert b"canary" not in b"".join(answers)


@pytest.mark.parametrize(
    "said", [b"Basic", b"Basic !!!", b"Basic YWxpY2U=", b"Digest x", b"x" * 99, b"Bearer"]
)
def test_what_is_no_login_is_refused(daemon, said):
    assert status(daemon.ask("web", request(authorization=said))) in (400, 401)


def test_two_logins_are_none(daemon):
    more = b"Authorization: " + basic("alice") + b"\r\n"
    assert status(daemon.ask("web", request(authorization=basic("bob"), more=more))) == 400


def test_a_password_is_not_taken_where_others_can_listen(build):
    daemon = build("access.anonymous=fetch", "web.hosts=192.0.2.1")
    for said in (basic("alice"), b"Bearer " + TOKEN.encode(), b"Basic !!!"):
        answer = daemon.ask("web", request(authorization=said), **REMOTE)
        assert status(answer) == 403
        assert b"WWW-Authenticate" not in answer
        assert b"secure:" in answer
    assert not daemon.env.access.authenticator.counts


def test_nobody_is_asked_for_a_password_where_others_can_listen(build):
    daemon = build("web.hosts=192.0.2.1")
    assert status(daemon.ask("web", request(), **REMOTE)) == 403


def test_too_many_logins_at_once_are_told_to_come_back(build, monkeypatch):
    daemon = build("access.max_pending_logins=1")
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: Deferred())
    answers = [
        daemon.ask("web", request(authorization=basic(name))) for name in ("alice", "bob", "carol")
    ]
    assert answers[:2] == [b"", b""]
    assert status(answers[2]) == 503
    assert b"Retry-After: 1" in answers[2]


def test_a_client_that_leaves_during_the_login_check_leaves_nothing_behind(
    daemon, monkeypatch, log
):
    held = Deferred()
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: held)
    terminal = daemon.dial("web")
    daemon.say(terminal, request(authorization=basic("alice")))
    terminal.hang_up()
    held.callback(True)
    assert daemon.env.access.limiter("web").total == 0
    assert not [event for event in log if "log_failure" in event]


def test_a_foreign_page_changes_nothing_with_a_cached_login(daemon):
    more = b"Origin: http://elsewhere.example\r\n"
    said = request("PUT", "/templates/XAUUSD/H1", basic("alice"), TEMPLATE, more)
    assert status(daemon.ask("web", said)) == 403
    assert not daemon.env.access.authenticator.counts


def test_where_there_are_no_accounts_nobody_is_asked_for_one(build):
    daemon = build(grants={})
    assert status(daemon.ask("web", request())) == 403


def test_no_secret_comes_into_the_log(daemon, log):
    for said in (basic("alice", "canary-1"), b"Bearer canary-2", b"Basic canary-3", basic("alice")):
        daemon.ask("web", request(authorization=said))
    shown = " ".join(map(formatEvent, log))
    assert "canary" not in shown
    assert PASSWORD not in shown


# Deadlines


def test_silent_and_dripping_clients_are_closed_after_the_same_time(daemon, clock):
    silent, dripping = daemon.dial("web"), daemon.dial("web")
    for byte in request()[:11]:
        dripping.send(bytes([byte]))
        clock.advance(1.0)
    assert silent.closed
    assert dripping.closed
    assert daemon.env.access.bans.offences["deadline"] == 2


def test_a_body_has_to_end_however_slowly_it_moves(build, clock):
    daemon = build("access.anonymous=publish")
    terminal = daemon.dial("web")
    terminal.send(request("PUT", "/templates/XAUUSD/H1", body=TEMPLATE)[: -len(TEMPLATE)])
    for byte in TEMPLATE[:31]:
        terminal.send(bytes([byte]))
        clock.advance(1.0)
    assert terminal.closed


def test_a_client_may_be_idle_for_longer_after_its_first_request(build, clock):
    daemon = build("access.anonymous=fetch")
    terminal = daemon.dial("web")
    daemon.say(terminal, request())
    clock.advance(29)
    assert not terminal.closed
    clock.advance(2)
    assert terminal.closed
    assert daemon.env.access.bans.offences["deadline"] == 0
    assert daemon.env.access.limiter("web").unauthenticated == 0
