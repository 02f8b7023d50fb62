"""Every condition that `docs/alerts.md` shows, in one daemon."""

import re
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from mtnet.daemon.components import DAEMON
from mtnet.daemon.conditions import DaemonConditions, DaemonGrammar
from mtnet.daemon.registry import installed
from mtnet.errors import ConfigError
from mtnet.interfaces import IAlertConditions, IConditionGrammar
from mtnet.services.alerts.conditions import GuardedCheck, read_when, words
from mtnet.testing import make_environment

PAGE = (Path(__file__).parents[3] / "docs/alerts.md").read_text("utf-8")
TABLE = PAGE.partition("| it holds while |")[2].partition("\n\n")[0]
SHOWN = [
    when for row in TABLE.splitlines()[2:] for when in re.findall(r"`([^`]+)`", row.split(" | ")[0])
]
CONTRACT = [
    "provider_silent",
    "follower_behind",
    "follower_not_trading",
    "no_ack",
    "refused_acks",
    "drawdown",
    "daily_loss",
    "ticks_silent",
    "ticks_gap",
    "disk_low",
    "disk_trouble",
    "damaged",
    "certificate_expires",
    "banned",
    "login_new_network",
    "price",
    "heartbeat_missing",
    "sink_down",
    "sink_drops",
]


@pytest.fixture
def known(tmp_path):
    env = make_environment(tmp_path, Clock())
    own = DaemonConditions(env.access, lambda: {"healthy": True}, None, env.clock, env.now)
    offers = [*env.find_all(IAlertConditions).values(), own]
    return words(each.conditions() for each in offers)


def test_plugins_know_the_words_of_their_components_before_these_are_built(tmp_path):
    env = make_environment(tmp_path, Clock())
    own = DaemonConditions(env.access, lambda: {"healthy": True}, None, env.clock, env.now)
    offered = {**env.find_all(IAlertConditions), DAEMON: own}
    plugins = {name: each for name, each in installed().items() if IConditionGrammar(each, None)}
    declared = {**plugins, DAEMON: DaemonGrammar()}
    assert {name: {*each.conditions()} for name, each in offered.items()} == {
        name: {*each.grammar()} for name, each in declared.items()
    }


def test_every_condition_is_offered_and_shown(known):
    assert sorted(known) == sorted(CONTRACT)
    assert {when.split()[0] for when in SHOWN} == set(CONTRACT)


@pytest.mark.parametrize("when", SHOWN)
def test_a_condition_that_is_shown_can_be_used(known, when):
    found = GuardedCheck("x", read_when("x", when, known))()
    assert found is not None
    assert all(isinstance(text, str) for pair in found.items() for text in pair)


@pytest.mark.parametrize("word", CONTRACT)
def test_a_condition_that_cannot_be_read_shows_a_right_one(known, word):
    with pytest.raises(ConfigError, match=rf"^alerts\.x\.when: .*{word}.* Example: {word}"):
        read_when("x", f"{word} a b c ~ 1", known)
