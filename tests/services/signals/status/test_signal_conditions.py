"""Conditions of alerts: what holds now, and whom it is about."""

from decimal import Decimal

import pytest
from test_participants import Scene

from mtnet.errors import ConfigError
from mtnet.interfaces import IAlertConditions
from mtnet.services.signals.reports.equity import DAY


@pytest.fixture
def scene(tmp_path, clock):
    return Scene(tmp_path / "data", clock)


@pytest.fixture
def pair(scene):
    provider, follower = scene.provide(), scene.follow()
    scene.acknowledge(follower, 1, status="filled", volume="1")
    return provider, follower


def condition(scene, text):
    word, _, rest = text.partition(" ")
    check = IAlertConditions(scene.component).conditions()[word](rest)

    def holds():
        scene.clock.advance(1)
        return check()

    return holds


def test_a_provider_that_is_gone_or_hangs_is_silent(scene, pair):
    holds = condition(scene, "provider_silent")
    assert holds() == {}
    scene.rest(12, pair[1])
    assert list(holds()) == ["gold/alice/desk"]
    pair[0].hang_up()
    found = holds()
    assert list(found) == ["gold/alice/desk"]
    assert found["gold/alice/desk"].startswith("alice/desk of gold is offline")


def test_a_provider_that_publishes_nothing_is_silent_after_a_limit(scene, pair):
    holds = condition(scene, "provider_silent gold > 4h")
    scene.rest(20, *pair)
    assert holds() == {}
    scene.clock.advance(4 * 3_600)
    assert holds() == {"gold": "Nobody has published in gold for 4 h."}


@pytest.mark.parametrize("subject", ["", "gold ", "gold/bob/desk "])
def test_a_follower_is_behind_by_signals(scene, pair, subject):
    holds = condition(scene, f"follower_behind {subject}> 2")
    for _ in range(2):
        scene.publish(pair[0], "2")
        scene.publish(pair[0], "3")
    assert list(holds()) == ["gold/bob/desk"]
    scene.acknowledge(pair[1], 5, status="filled", volume="3")
    assert holds() == {}


def test_a_follower_is_behind_by_time_also_when_it_is_offline(scene, pair):
    holds = condition(scene, "follower_behind > 30s")
    scene.publish(pair[0], "2")
    pair[1].hang_up()
    scene.rest(25, pair[0])
    assert not any(holds().values())
    scene.rest(10, pair[0])
    assert list(holds()) == ["gold/bob/desk"]


def test_time_that_counts_anew_after_a_start_ends_no_incident(scene, pair, tmp_path, clock):
    scene.publish(pair[0], "2")
    scene.rest(301, *pair)
    assert list(condition(scene, "follower_behind > 300s")()) == ["gold/bob/desk"]
    pair[1].hang_up()
    again = Scene(tmp_path / "data", clock)
    holds = condition(again, "follower_behind > 300s")
    assert holds() == {"gold/bob/desk": ""}
    clock.advance(300)
    assert holds()["gold/bob/desk"].startswith("bob/desk is 1 signal and 5 min behind")


def test_time_that_counts_anew_after_a_new_connection_ends_no_incident(scene, pair):
    holds = condition(scene, "no_ack > 300s")
    scene.publish(pair[0], "2")
    scene.rest(301, *pair)
    assert holds()["gold/bob/desk"]
    pair[1].hang_up()
    epoch = scene.signals.channel("gold").epoch
    follower = scene.follow(asked={"epoch": epoch, "after": 1})
    assert holds() == {"gold/bob/desk": ""}
    scene.acknowledge(follower, 2, status="filled", volume="2")
    assert holds() == {}


def test_one_that_is_always_a_little_behind_is_not_in_an_incident(scene, pair):
    holds = condition(scene, "follower_behind > 300s")
    scene.clock.advance(5)
    scene.publish(pair[0], "2")
    assert holds() == {}


def test_another_subject_is_not_meant(scene, pair):
    holds = condition(scene, "follower_behind silver > 0")
    scene.publish(pair[0], "2")
    assert holds() == {}


def test_a_follower_whose_trading_is_off(scene, pair):
    holds = condition(scene, "follower_not_trading")
    scene.report(pair[1], trading=False)
    assert list(holds()) == ["gold/bob/desk"]
    scene.clock.advance(1)
    scene.report(pair[1], trading=True)
    assert holds() == {}


@pytest.mark.parametrize("text", ["no_ack", "no_ack > 10s"])
def test_without_an_ack(scene, pair, text):
    holds = condition(scene, text)
    scene.publish(pair[0], "2")
    scene.rest(8, *pair)
    assert holds() == {}
    scene.rest(8, *pair)
    assert list(holds()) == ["gold/bob/desk"]


@pytest.mark.parametrize(("text", "most"), [("refused_acks", 5), ("refused_acks gold > 1", 1)])
def test_many_refused_acknowledgements(scene, pair, text, most):
    holds = condition(scene, text)
    for _ in range(most):
        scene.acknowledge(pair[1], 1, status="failed", reason="no money")
    assert holds() == {}
    scene.acknowledge(pair[1], 1, status="failed", reason="no money")
    assert list(holds()) == ["gold/bob/desk"]


def equity(scene, terminal, amount, balance="10000"):
    scene.clock.advance(1)
    scene.report(terminal, balance=Decimal(balance), equity=Decimal(amount), offset=0)


@pytest.mark.parametrize("limit", ["> 10%", "> 1000", "bob > 10%", "bob/desk > 10%"])
def test_a_drawdown_is_measured_from_the_peak(scene, pair, limit):
    holds = condition(scene, f"drawdown {limit}")
    equity(scene, pair[1], "10000")
    equity(scene, pair[1], "9000")
    assert holds() == {}
    equity(scene, pair[1], "8999")
    assert holds() == {"bob/desk": "bob/desk has lost 1001 of 10000 from its peak."}


def test_a_drawdown_is_known_over_a_restart(scene, pair, tmp_path, clock):
    equity(scene, pair[1], "10000")
    equity(scene, pair[1], "8000")
    clock.advance(31)
    again = Scene(tmp_path / "data", clock)
    assert list(condition(again, "drawdown > 10%")()) == ["bob/desk"]


def test_a_daily_loss_begins_anew_each_day(scene, pair):
    holds = condition(scene, "daily_loss > 5%")
    equity(scene, pair[1], "10000")
    equity(scene, pair[1], "9000")
    assert list(holds()) == ["bob/desk"]
    scene.clock.advance(DAY / 1000)
    assert holds() == {}


def test_a_channel_that_is_damaged(scene, pair):
    holds = condition(scene, "damaged")
    assert holds() == {}
    scene.signals.worker.journal.damaged = {"gold": "The journal is damaged"}
    assert holds() == {"gold": "The journal is damaged."}
    assert condition(scene, "damaged silver")() == {}


@pytest.mark.parametrize(
    "text",
    ["provider_silent > 5", "follower_behind", "follower_behind gold", "no_ack > 5",
     "refused_acks > 5s", "drawdown", "drawdown 10%", "daily_loss > 1h", "damaged > 1",
     "follower_not_trading > 1"],
)  # fmt: skip
def test_a_condition_that_cannot_be_read_shows_a_right_one(scene, text):
    word = text.split()[0]
    with pytest.raises(ConfigError, match=rf"Invalid condition '.*'\. Example: {word}"):
        condition(scene, text)
