"""`mtnet events`: what is printed, for people and for programs."""

import json
import time

import pytest

from mtnet.cli import events
from mtnet.cli.events import describe
from mtnet.interfaces import IEvents
from mtnet.testing import EPOCH, make_environment


@pytest.fixture
def env(command_line, clock, monkeypatch):
    env = make_environment(command_line.folder, clock)
    command_line.attach(env.components.commands())
    monkeypatch.setattr(events, "ask", command_line._ask)
    return env


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def record(env):
    log = env.find(IEvents)
    log.record("daemon_started", "mtnet has started.")
    log.record("channel_paused", "gold is paused.", "warning", channel="gold")


def test_a_line_has_local_time_with_its_offset_and_the_level_unless_it_is_info(command_line, env):
    record(env)
    assert command_line.on_folder("events").out.splitlines() == [
        "2023-11-14 23:13:20+0100 1 daemon_started: mtnet has started.",
        "2023-11-14 23:13:20+0100 2 WARNING channel_paused: gold is paused.",
    ]


def test_json_has_milliseconds_and_facts(command_line, env):
    record(env)
    (line,) = command_line.on_folder("events", "--json", "--after", 1).out.splitlines()
    assert json.loads(line) == {
        "number": 2,
        "time": EPOCH,
        "kind": "channel_paused",
        "level": "warning",
        "text": "gold is paused.",
        "channel": "gold",
    }


def test_kinds_and_levels_are_chosen(command_line, env):
    record(env)
    assert "daemon_started" not in command_line.on_folder("events", "--level", "warning").out
    shown = command_line.on_folder("events", "--kind", "daemon", "--kind", "login").out
    assert shown.count("\n") == 1


def test_all_are_printed_however_many_answers_that_takes(command_line, env, monkeypatch):
    for number in range(2_500):
        env.find(IEvents).record("test", f"{number}.")
    assert command_line.on_folder("events", "--after", 0).out.count("\n") == 2_500


def test_a_follower_prints_what_comes_until_the_daemon_is_gone(command_line, env, monkeypatch):
    record(env)
    ask, asked = command_line._ask, []

    def answer(path, command, wait=5.0, **arguments):
        if len(asked) == 2:
            raise SystemExit(0)
        if asked:
            env.find(IEvents).record("test", "It came later.")
        asked.append((wait, arguments))
        return ask(path, command, wait, **arguments)

    monkeypatch.setattr(events, "ask", answer)
    lines = command_line.on_folder("events", "--follow", "--after", 1).out.splitlines()
    assert [line.split()[2] for line in lines] == ["2", "3"]
    wait, arguments = asked[1]
    assert wait > arguments["seconds"] > 0


def test_without_a_daemon_a_sentence_says_so(command_line):
    result = command_line.on_folder("events")
    assert result.status == 1
    assert "No daemon answers" in result.error


def test_the_offset_is_of_that_day_and_not_of_today():
    event = {"number": 1, "time": 1_719_000_000_000, "kind": "a", "level": "info", "text": "B."}
    assert describe(event).startswith("2024-06-21 22:00:00+0200")
