"""`mtnet alerts` and `mtnet notify`: what is printed, for people and for programs."""

import json

import pytest

from mtnet.cli.alerts import notify
from mtnet.services.notify.receivers import AppriseReceiver
from mtnet.testing import EPOCH, make_environment

DEAD = ("alerts.dead.when=heartbeat_missing backup > 300s", "alerts.dead.for=5", "alerts.settle=0")
OPS = "notify.ops.urls=json://127.0.0.1:1/secret"


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def host(command_line, clock, monkeypatch):
    """Attach a daemon with some settings to the command line, and let seconds go by."""

    def run(*sets, seconds=0):
        env = make_environment(command_line.folder, clock, *sets)
        for name in ("alerts", "notify"):
            env.components.services[name].start()
        command_line.attach(env.components.commands())
        monkeypatch.setattr(notify, "ask", command_line._ask)
        clock.pump([1.0] * seconds)

    return run


@pytest.fixture
def sent(monkeypatch):
    messages = []
    monkeypatch.setattr(AppriseReceiver, "deliver", lambda self, title, text: messages.append(text))
    return messages


def test_without_alerts_the_list_says_how_to_begin(command_line, host):
    host()
    assert command_line.on_folder("alerts", "list") == (
        0, "There is no alert; docs/alerts.md shows how to make one.\n", "",
    )  # fmt: skip
    assert json.loads(command_line.on_folder("alerts", "list", "--json").out) == []


def test_the_list_has_each_alert_and_below_it_the_incidents_that_go_on(command_line, host, sent):
    host(OPS, *DEAD, seconds=60)
    head, row, incident = command_line.on_folder("alerts", "list").out.splitlines()
    assert head.split() == ["ALERT", "WHEN", "FOR", "TO", "MUTED", "INCIDENTS"]
    assert row.split() == [
        "dead",
        "heartbeat_missing",
        "backup",
        ">",
        "300s",
        "5",
        "s",
        "all",
        "no",
        "1",
    ]
    assert incident.endswith(
        "  dead: There is no heartbeat backup: `mtnet alerts heartbeat add backup` makes it."
    )


def test_programs_get_the_incidents_with_milliseconds(command_line, host, sent):
    host(OPS, *DEAD, seconds=60)
    (row,) = json.loads(command_line.on_folder("alerts", "list", "--json").out)
    (incident,) = row["incidents"]
    assert (row["name"], row["muted"], row["until"]) == ("dead", False, None)
    assert EPOCH <= incident["since"] <= EPOCH + 60_000


def test_a_mute_lasts_until_it_is_ended(command_line, host, sent):
    host(OPS, *DEAD)
    muted = command_line.on_folder("alerts", "mute", "dead")
    assert muted.out == "Nobody is told of dead until `mtnet alerts unmute`.\n"
    assert "yes" in command_line.on_folder("alerts", "list").out.splitlines()[1]
    ended = command_line.on_folder("alerts", "unmute", "dead")
    assert ended.out == "People are told of dead again.\n"
    assert "yes" not in command_line.on_folder("alerts", "list").out


def test_a_mute_may_have_an_end(command_line, host):
    host(OPS, *DEAD)
    muted = command_line.on_folder("alerts", "mute", "dead", "--seconds", 3600)
    assert muted.out == "Nobody is told of dead for 1 h.\n"
    (row,) = json.loads(command_line.on_folder("alerts", "list", "--json").out)
    assert row["until"] == EPOCH + 3_600_000


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan", "soon"])
def test_the_end_of_a_mute_is_a_number_of_seconds_above_0(command_line, seconds):
    refused = command_line.on_folder("alerts", "mute", "dead", "--seconds", seconds)
    assert refused.status == 2
    assert f"invalid number of seconds value: '{seconds}'" in refused.error


@pytest.mark.parametrize("command", ["mute", "unmute", "test"])
def test_an_alert_that_is_not_there_is_named_with_those_that_are(command_line, host, command):
    host(OPS, *DEAD)
    refused = command_line.on_folder("alerts", command, "disk")
    assert (refused.status, refused.out) == (1, "")
    assert "disk" in refused.error
    assert "dead" in refused.error


def test_a_test_says_to_whom_it_goes(command_line, host, clock, sent):
    host(OPS, *DEAD)
    assert command_line.on_folder("alerts", "test", "dead").out == "A test is on its way to ops.\n"
    assert json.loads(command_line.on_folder("alerts", "test", "dead", "--json").out) == ["ops"]
    clock.pump([1.0] * 2)
    assert sent == ["This is a test of the alert dead: nothing has happened."] * 2


def test_a_test_that_is_one_message_too_many_says_so(command_line, host, sent):
    host(OPS, *DEAD, "notify.rate=1")
    command_line.on_folder("alerts", "test", "dead")
    again = command_line.on_folder("alerts", "test", "dead")
    assert again.out == "A test is on its way to nobody: too many messages in this minute.\n"


def test_the_token_of_a_heartbeat_is_shown_once(command_line, host):
    host(OPS, *DEAD)
    made = command_line.on_folder("alerts", "heartbeat", "add", "backup").out.splitlines()
    assert made[0].startswith("backup calls /v1/heartbeat/")
    assert made[1] == "This is the only time it is shown."
    listed = command_line.on_folder("alerts", "heartbeat", "list").out
    assert listed.splitlines()[1].split() == ["backup", "-"]
    assert made[0].rpartition("/")[2] not in listed


def test_another_token_replaces_the_first(command_line, host):
    host(OPS, *DEAD)
    first, second = (
        json.loads(command_line.on_folder("alerts", "heartbeat", "add", "backup", "--json").out)
        for _ in range(2)
    )
    assert first["name"] == second["name"] == "backup"
    assert first["token"] != second["token"]
    assert len(json.loads(command_line.on_folder("alerts", "heartbeat", "list", "--json").out)) == 1


def test_a_heartbeat_is_removed(command_line, host):
    host(OPS, *DEAD)
    command_line.on_folder("alerts", "heartbeat", "add", "backup")
    removed = command_line.on_folder("alerts", "heartbeat", "remove", "backup")
    assert removed.out == "backup is no heartbeat any more.\n"
    assert command_line.on_folder("alerts", "heartbeat", "list").out == "There is no heartbeat.\n"
    again = command_line.on_folder("alerts", "heartbeat", "remove", "backup")
    assert (again.status, again.out) == (1, "")
    assert "backup" in again.error


def test_notify_names_each_receiver_without_its_secret(command_line, host, sent):
    host(OPS)
    said = command_line.on_folder("notify", "test", "ops")
    assert (said.status, said.error) == (0, "")
    assert "secret" not in said.out
    assert said.out.startswith("json://")
    assert said.out.endswith(" took the message.\n")
    assert len(sent) == 1


def test_a_receiver_that_takes_nothing_ends_the_command_with_1(command_line, host, monkeypatch):
    monkeypatch.setattr(AppriseReceiver, "deliver", lambda self, title, text: "it is closed")
    host(OPS)
    said = command_line.on_folder("notify", "test", "ops")
    assert said.status == 1
    assert said.out.endswith(" did not take the message: it is closed.\n")
    assert "Not every receiver took the message." in said.error
    (row,) = json.loads(command_line.on_folder("notify", "test", "ops", "--json").out)
    assert (row["taken"], row["reason"]) == (False, "it is closed")


def test_a_name_that_nobody_has_is_refused_with_those_that_are_there(command_line, host):
    host(OPS)
    refused = command_line.on_folder("notify", "test", "dev")
    assert refused.status == 1
    assert "There is no [notify.dev]; there is ops." in refused.error
