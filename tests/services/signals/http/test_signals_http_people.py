"""Acknowledgements, REPORT and SPEC by HTTP; pauses and views, which people change."""

import pytest
from signals_web import signal

from mtnet.interfaces import IEvents, IReports, ISignals
from mtnet.services.signals.status.report import Status


def progress(web):
    (session,) = Status(web.signals).status()["sessions"]
    return session["channels"]["main"]


def ack(web, *acks, **more):
    return web.ask("POST", "/v1/channels/main/acks", {"acks": [*acks], **more})


# Acknowledgements


def test_results_of_signals_reach_the_status(web):
    web.post(signal("a"), signal("b", "GBPUSD"))
    web.read("?name=desk")
    failed = {"seq": 2, "status": "failed", "reason": "no money"}
    assert (
        ack(web, {"seq": "1", "status": "filled", "volume": 1}, failed, name="desk").status == 204
    )
    assert (progress(web)["acknowledged"], progress(web)["sent"]) == (2, 2)
    assert progress(web)["held"] == {"EURUSD": "1"}
    assert progress(web)["failed"] == {"GBPUSD": "no money"}


def test_an_acknowledgement_says_how_far_its_follower_is(web):
    web.post(signal("a"))
    assert ack(web, {"seq": 1, "status": "filled"}).status == 204
    assert progress(web)["acknowledged"] == 1


@pytest.mark.parametrize("bad", [[], [{"status": "filled"}], [{"seq": 1, "status": "done"}]])
def test_acknowledgements_that_cannot_be_read_count_for_nothing(web, bad):
    web.post(signal("a"))
    assert ack(web, *bad).error == (422, "field")


def test_the_follower_of_a_view_says_that_its_copy_is_gone(ask_as):
    settings = {"sources": ["gold"], "follower": "bob/desk"}
    body = {"publisher": "p", "signals": [signal("a")]}
    ask_as("alice", "POST", "/v1/channels/gold/signals", body)
    assert ask_as("root", "POST", "/v1/views", {"view": "v", "settings": settings}).status == 201
    body["signals"] = [signal("b", "GBPUSD")]
    ask_as("alice", "POST", "/v1/channels/gold/signals", body)
    ask_as.grant("bob", "follow:signals/v")
    seq = ask_as("bob", "GET", "/v1/channels/v").json["positions"][0]["seq"]
    said = {"acks": [{"seq": seq, "status": "released"}], "name": "desk"}
    assert ask_as("bob", "POST", "/v1/channels/v/acks", said).status == 204
    assert ask_as("bob", "GET", "/v1/channels/v").json["positions"] == []


def test_a_trade_that_an_acknowledgement_alone_betrays_is_no_withdrawal(ask_as, clock):
    def report(balance):
        clock.advance(10)
        money = {"balance": balance, "equity": balance, "margin": 0}
        assert ask_as("bob", "POST", "/v1/report", {"name": "desk", **money}).status == 204

    ask_as.grant("bob", "follow:signals/v")
    limit = {"max_drawdown": "10%", "then": "flatten"}
    settings = {"sources": ["gold"], "follower": "bob/desk", **limit}
    body = {"publisher": "p", "signals": [signal("a")]}
    ask_as("alice", "POST", "/v1/channels/gold/signals", body)
    assert ask_as("root", "POST", "/v1/views", {"view": "v", "settings": settings}).status == 201
    report(1000)
    body["signals"] = [signal("b", "GBPUSD")]
    ask_as("alice", "POST", "/v1/channels/gold/signals", body)
    report(1000)
    said = {"acks": [{"seq": 1, "status": "filled"}], "name": "desk"}
    assert ask_as("bob", "POST", "/v1/channels/v/acks", said).status == 204
    report(880)
    report(880)
    assert ask_as("bob", "GET", "/v1/channels/v").json["paused"] == "close_only"


# REPORT and SPEC


def test_a_report_of_a_login_is_remembered(ask_as):
    report = {"name": "desk", "balance": 1000, "equity": "990.50", "trading": 1, "offset": -3600}
    assert ask_as("bob", "POST", "/v1/report", report).status == 204
    spec = {"name": "desk", "symbol": "EURUSD", "min": "0.01", "digits": 5}
    assert ask_as("bob", "POST", "/v1/spec", spec).status == 204
    reports = ask_as.daemon.env.find(IReports)
    (last,) = reports.last_two("bob", "desk")
    assert (str(last.report.equity), last.report.trading, last.report.offset) == (
        "990.50", True, -3600,
    )  # fmt: skip
    assert reports.spec("bob", "desk", "EURUSD").spec.digits == 5


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("report", {}),
        ("report", {"balance": "much"}),
        ("report", {"balance": 1, "name": "a/b"}),
        ("spec", {"digits": 5}),
        ("spec", {"symbol": "EURUSD"}),
    ],
)
def test_a_report_that_cannot_be_read_is_refused(web, path, body):
    assert web.ask("POST", f"/v1/{path}", body).error == (422, "field")


def test_a_report_needs_a_right(ask_as):
    assert ask_as("wendy", "POST", "/v1/report", {"balance": 1}).error == (403, "denied")
    assert ask_as("", "POST", "/v1/spec", {"symbol": "A", "digits": 1}).error == (401, "login")


# People


@pytest.mark.parametrize(
    ("name", "paused", "kind"),
    [
        ("pause", "close_only", "channel_paused"),
        ("freeze", "frozen", "channel_frozen"),
        ("flatten", "close_only", "channel_flattened"),
    ],
)
def test_a_person_pauses_a_channel_and_an_event_says_who(ask_as, name, paused, kind):
    env = ask_as.daemon.env
    env.find(ISignals).channels.events.sink = events = env.find(IEvents)
    body = {"publisher": "p", "signals": [signal("a")]}
    ask_as("alice", "POST", "/v1/channels/gold/signals", body)
    path = f"/v1/channels/gold/{name}"
    answer = ask_as("root", "POST", path, {"confirm": "gold"})
    assert (answer.status, answer.json["paused"], answer.json["seq"]) == (
        200, paused, 2 if name == "flatten" else 1,
    )  # fmt: skip
    assert answer.json.get("closed") == (1 if name == "flatten" else None)
    (event,) = [each for each in events.after(0, 100) if each["kind"] == kind]
    assert event["who"] == "root"
    assert (
        ask_as("root", "POST", "/v1/channels/gold/resume", {"confirm": "gold"}).json["paused"]
        is None
    )


def test_a_pause_is_confirmed_by_name_and_for_people_alone(ask_as, web):
    web.post(signal("a"))
    answer = web.ask("POST", "/v1/channels/main/pause", {"confirm": "gold"})
    assert answer.error == (422, "field")
    assert web.ask("POST", "/v1/channels/main/pause", {}).error == (422, "field")
    assert ask_as("alice", "POST", "/v1/channels/main/pause", {"confirm": "main"}).error == (
        403, "denied",
    )  # fmt: skip
    assert web.ask("POST", "/v1/channels/no/pause", {"confirm": "no"}).error == (404, "channel")


# Views


def test_a_view_is_made_shown_changed_explained_and_ended(web):
    web.post(signal("a", "XAUUSD"))
    asked = {"view": "half", "settings": {"sources": ["main"], "value": 0.5, "late_join": "open"}}
    made = web.ask("POST", "/v1/views", asked)
    assert (made.status, made.json["settings"]["value"]) == (201, "0.5")
    web.post(signal("b", "EURUSD", "2"))
    assert web.held("half")["EURUSD"] == "1"
    rows = web.ask("GET", "/v1/views/half").json["rows"]
    assert {each["symbol"]: each["copy"] for each in rows}["EURUSD"] == "1"
    change = {"settings": {"value": "0.25"}}
    diff = web.ask("POST", "/v1/views/half/diff", change).json
    assert {"symbol": "EURUSD", "ticket": "", "before": "1", "after": "0.5"} in diff
    assert web.ask("PUT", "/v1/views/half", {**change, "apply": True}).status == 200
    assert web.held("half")["EURUSD"] == "0.5"
    assert web.ask("GET", "/v1/views").json["half"]["value"] == "0.25"
    assert web.ask("GET", "/v1/views/half/explain?symbol=EURUSD").json
    assert web.ask("DELETE", "/v1/views/half").error == (403, "denied")
    assert web.ask("DELETE", "/v1/views/half?leftovers=flatten").status == 204
    assert web.ask("GET", "/v1/views").json == {}


def test_an_offline_follower_is_missed_no_more(web):
    web.post(signal("a"))
    assert ack(web, {"seq": 1, "status": "filled"}, name="desk/attic").error == (422, "field")
    path = "/v1/channels/main/followers/desk"
    assert web.ask("DELETE", path).json == []
    web.read("?name=desk")
    assert web.ask("DELETE", path).error == (403, "denied")  # it was here just now
    web.clock.advance(3_600)
    (found,) = web.ask("DELETE", path).json
    assert (found["channel"], found["who"]) == ("main", "desk")
    assert web.ask("DELETE", path).json == []


@pytest.mark.parametrize(
    ("method", "path", "body", "error"),
    [
        ("GET", "/half", b"", (404, "channel")),
        ("PUT", "/half", {"settings": {}}, (404, "channel")),
        ("DELETE", "/half", b"", (404, "channel")),
        (
            "POST",
            "",
            {"view": "half", "settings": {"sources": ["main"], "valu": 1}},
            (422, "field"),
        ),
        ("POST", "", {"view": "a b", "settings": {"sources": ["main"]}}, (422, "field")),
    ],
)
def test_what_cannot_be_done_with_a_view_is_refused(web, method, path, body, error):
    assert web.ask(method, f"/v1/views{path}", body).error == error


def test_views_are_for_people(ask_as):
    assert ask_as("alice", "GET", "/v1/views").error == (403, "denied")


def test_a_view_shows_the_mode_that_it_is_in(web):
    web.ask("POST", "/v1/views", {"view": "half", "settings": {"sources": ["main"]}})
    web.pause("freeze", "half")
    assert web.ask("GET", "/v1/views/half").json["settings"]["mode"] == "frozen"
    assert web.ask("POST", "/v1/views/half/monitor").json["settings"]["mode"] == "monitor"
