"""Each kind of event, made by sessions, by commands of the owner, and by parts that fail."""

import re
from pathlib import Path

import pytest
from fakes.daemon import LOCAL, PASSWORD, TOKEN, FakeDaemon, basic, hello
from twisted.logger import formatEvent

from mtnet.interfaces import IEvents, ISignals, IStatus
from mtnet.services.status.causes import CauseDetector
from mtnet.services.status.component import LOOK, UNWATCHED_LOOKS

DOCS = (Path(__file__).parents[3] / "docs" / "running.md").read_text("utf-8")
WHO = "uid:1000"


@pytest.fixture
def daemon(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock)
    for name in ("status", "signals"):
        daemon.env.components.services[name].start()
    return daemon


@pytest.fixture
def new(daemon):
    """Return the events since the last call, without number and time."""
    log = daemon.env.find(IEvents)
    seen = [log.last]

    def take(*kinds):
        rows = log.after(seen[0], 1_000)
        seen[0] = log.last
        found = [{k: v for k, v in row.items() if k not in ("number", "time")} for row in rows]
        return [row for row in found if not kinds or row["kind"] in kinds]

    return take


def command(daemon, name, /, **asked):
    commands = {**daemon.env.components.commands(), **daemon.env.access.commands()}
    done = commands[name]({**asked, "who": WHO})
    daemon.clock.advance(0)
    return done


def publisher(daemon, *requests):
    terminal = daemon.dial("signals")
    return terminal, daemon.say(terminal, hello("alice") + b"".join(requests))


PUBLISH = b"<<PUBLISH|id=%b|channel=main|symbol=EURUSD|volume=1>>"


def login_on(service, name, password):
    """Return the bytes that log in at a service."""
    value = basic(name, password)
    return {
        "signals": hello(name, password),
        "ticks": f"LOGIN: {name} {password}\r\n".encode(),
        "templates": f"STORE EURUSD H1 9 {name} {password}\r\n".encode(),
        "web": b"GET /templates HTTP/1.1\r\nHost: localhost\r\nAuthorization: %b\r\n\r\n" % value,
    }[service]


@pytest.mark.parametrize("service", ["signals", "ticks", "templates", "web"])
def test_a_login_is_an_event_on_every_port_with_the_line_of_the_log(daemon, new, log, service):
    daemon.say(daemon.dial(service), login_on(service, "bob", TOKEN))
    daemon.say(daemon.dial(service), login_on(service, "alice", "wrong-horse"))
    good, bad = new("login_accepted", "login_refused")
    peer = f"{LOCAL['peer']}:50000"
    where = {"service": service, "endpoint": "tcp:1", "peer": peer}
    line = f"service={service} endpoint=tcp:1 peer={peer}"
    assert good == {
        **where,
        "login": "bob",
        "kind": "login_accepted",
        "level": "info",
        "text": f"login accepted: {line} login=bob",
    }
    assert bad == {
        **where,
        "login": "alice",
        "why": "wrong",
        "kind": "login_refused",
        "level": "warning",
        "text": f"login refused: {line} login=alice why=wrong",
    }
    lines = [formatEvent(event) for event in log]
    assert lines.count(good["text"]) == lines.count(bad["text"]) == 1


def test_what_the_security_log_leaves_out_is_no_event(daemon, new):
    for _ in range(20):
        daemon.say(daemon.dial("ticks"), b"LOGIN: alice wrong-horse\r\n")
    assert [each["why"] for each in new("login_refused")] == ["wrong"] * 2 + ["banned"] * 5
    assert daemon.env.access.log.left_out > 0


def test_bans_and_their_lifts_say_who(daemon, new):
    command(daemon, "bans add", network="192.0.2.7", seconds=60)
    command(daemon, "bans lift", what="192.0.2.7")
    begins, lifted = new()
    assert (begins["kind"], begins["why"], begins["who"]) == ("ban_begins", "by-hand", WHO)
    assert (lifted["kind"], lifted["what"], lifted["who"]) == ("ban_lifted", "192.0.2.7", WHO)


def test_a_ban_that_was_earned_is_an_event(daemon, new):
    for _ in range(2):
        daemon.say(daemon.dial("ticks"), b"LOGIN: alice wrong-horse\r\n")
    assert {each["login"] for each in new("ban_begins")} == {"alice", "-"}


def test_a_refused_greeting_is_an_event(daemon, new):
    daemon.say(daemon.dial("signals"), b"<<HELLO|v=2>>")
    (event,) = new("hello_refused")
    assert event["why"] == "no-login"


def test_changes_of_accounts_say_who_and_show_no_secret(daemon, new):
    command(daemon, "account add", name="dave", grants=["follow"], password=PASSWORD)
    secret = command(daemon, "account token", name="dave").result
    command(daemon, "account untoken", name="dave", token=secret["id"])
    command(daemon, "account disable", name="dave")
    found = new("account_changed")
    assert [each["change"] for each in found] == ["add", "issue", "withdraw", "disable"]
    assert {(each["login"], each["who"]) for each in found} == {("dave", WHO)}
    assert secret["secret"] not in str(found)
    assert PASSWORD not in str(found)


def test_publishers_come_fence_each_other_and_go(daemon, new):
    first, _ = publisher(daemon, PUBLISH % b"a-1")
    (up,) = new("publisher_up")
    assert (up["channel"], up["who"]) == ("main", "alice")
    second, _ = publisher(daemon, PUBLISH % b"b-1")
    (fenced,) = new("publisher_fenced")
    assert fenced["level"] == "warning"
    assert fenced["text"] == "alice no longer sets main: alice took it over."
    second.hang_up()
    daemon.clock.advance(0)
    (down,) = new("publisher_down")
    assert down["level"] == "info"
    first.hang_up()


def test_pauses_say_who_and_how(daemon, new):
    publisher(daemon, PUBLISH % b"a-1")
    new()
    for verb in ("pause", "freeze", "resume", "flatten"):
        command(daemon, f"signals {verb}", channel="main")
    found = new()
    assert [each["kind"] for each in found] == [
        "channel_paused", "channel_frozen", "channel_resumed", "channel_flattened"
    ]  # fmt: skip
    assert {(each["channel"], each["who"]) for each in found} == {("main", WHO)}
    assert found[-1]["closed"] == 1


def test_changes_of_views_say_who(daemon, new):
    publisher(daemon, PUBLISH % b"a-1")
    new()
    command(daemon, "views add", view="half", settings={"sources": ["main"], "value": "0.5"})
    command(daemon, "views edit", view="half", settings={"value": "2", "max": "1"})
    command(daemon, "signals pause", channel="half")
    command(daemon, "signals resume", channel="half")
    command(daemon, "views monitor", view="half")
    command(daemon, "views remove", view="half")
    found = new()
    assert [each["kind"] for each in found] == [
        "view_added", "view_edited", "channel_paused", "channel_resumed", "view_monitored",
        "view_removed",
    ]  # fmt: skip
    assert {(each["channel"], each["who"]) for each in found} == {("half", WHO)}
    assert found[1]["text"] == f"The view half has other settings: {WHO} edited max and value."


def test_a_view_that_was_refused_is_no_event(daemon, new):
    refused = []
    command(daemon, "views remove", view="nothing").addErrback(refused.append)
    assert "no view" in refused[0].getErrorMessage()
    assert new() == []


def test_a_follower_that_is_forgotten_is_an_event(daemon, new):
    publisher(daemon, PUBLISH % b"a-1")[0]
    follower = daemon.dial("signals")
    daemon.say(follower, hello("alice") + b"<<SUBSCRIBE|channel=main>>")
    follower.hang_up()
    new()
    command(daemon, "signals forget", follower="alice", channel="silver")
    assert new() == []
    command(daemon, "signals forget", follower="alice")
    (event,) = new()
    assert (event["kind"], event["channel"]) == ("follower_forgotten", "main")
    assert (event["follower"], event["who"]) == ("alice", WHO)


def test_a_pause_that_was_refused_is_no_event(daemon, new):
    with pytest.raises(Exception, match="no channel"):
        command(daemon, "signals pause", channel="nothing")
    assert new() == []


def test_a_history_that_went_back_is_an_event_and_so_is_its_end(daemon, new, log):
    publisher(daemon, PUBLISH % b"a-1")
    epoch = daemon.env.find(ISignals).channel("main").epoch
    follower = daemon.dial("signals")
    asked = f"<<SUBSCRIBE|channel=main|epoch={epoch}|after=9|h=00000001>>".encode()
    daemon.say(follower, hello("alice") + asked)
    (event,) = new("channel_diverged")
    assert event["level"] == "error"
    assert "knows entry 9" in event["text"]
    assert sum("knows entry 9" in formatEvent(line) for line in log) == 1
    command(daemon, "signals accept", channel="main")
    (accepted,) = new("channel_accepted")
    assert (accepted["channel"], accepted["who"]) == ("main", WHO)


def test_causes_begin_and_end_once_each_whatever_numbers_they_name(daemon, new):
    report = {"trouble": [], "warnings": []}
    detector = CauseDetector(lambda: report, daemon.env.find(IEvents))
    for sentences in (["disk: hung for 5 s"], ["disk: hung for 6 s"], [], []):
        report["trouble"] = sentences
        detector.look()
    report["warnings"] = ["clock: it jumped"]
    detector.look()
    assert [(each["kind"], each["level"], each["text"]) for each in new()] == [
        ("trouble_begins", "error", "disk: hung for 5 s"),
        ("trouble_ends", "info", "The trouble of disk is over: hung for 6 s"),
        ("warning_begins", "warning", "clock: it jumped"),
    ]


@pytest.mark.parametrize("watched", [True, False])
def test_the_health_is_looked_at_each_second_for_those_who_wait_and_seldom_for_nobody(
    daemon, new, monkeypatch, watched
):
    signals = IStatus(daemon.env.components.services["signals"])
    if watched:
        command(daemon, "events", after=daemon.env.find(IEvents).last, seconds=60.0)
    daemon.clock.advance(LOOK)
    monkeypatch.setattr(signals, "health", lambda: {"healthy": False, "trouble": "It is gone"})
    looks = 1 if watched else UNWATCHED_LOOKS
    daemon.clock.pump([LOOK] * (looks - 1))
    assert new("trouble_begins") == []
    daemon.clock.advance(LOOK)
    (event,) = new("trouble_begins")
    assert event["text"] == "signals: It is gone"


KINDS = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", DOCS[DOCS.index("## Events") :]))


def test_every_kind_that_the_code_records_is_in_the_docs():
    package = Path(__file__).parents[3] / "mtnet"
    found = set()
    for source in package.rglob("*.py"):
        found |= set(re.findall(r"record\(\s*\"([a-z_]+)\"", source.read_text("utf-8")))
    assert found > {"daemon_started", "publisher_up"}
    assert found - KINDS == set()
