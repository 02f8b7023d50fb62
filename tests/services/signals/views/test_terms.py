"""What is known of the follower of a view, from REPORTs and SPECs."""

from decimal import Decimal
from fractions import Fraction

import pytest
from msgspec.structs import replace

from mtnet.services.signals.reports.registry import Reports, TerminalKey
from mtnet.services.signals.reports.wire import Report
from mtnet.services.signals.views.settings import ViewSettings
from mtnet.services.signals.views.terms import FRESH, terms

NOW = 1_795_000_000_000
BY_MONEY = ViewSettings(sources=("gold",), size="equity", follower="bob", provider="alice")
WITH_LIMIT = ViewSettings(sources=("gold",), follower="bob", daily_loss="4%")
RICH = Report(balance=Decimal(1_000), equity=Decimal(900), currency="USD", account="1")


def known(settings, own=RICH, theirs=RICH, before=(), ages=(0, 0)):
    """Return the terms of a follower and a provider whose last REPORTs have these ages in ms."""
    reports = Reports()
    for each in before:
        reports.report(TerminalKey("bob", "desk"), each, NOW - ages[0] - 1_000)
    reports.report(TerminalKey("bob", "desk"), own, NOW - ages[0])
    reports.report(TerminalKey("alice", "desk"), theirs, NOW - ages[1])
    return terms(settings, reports, (), NOW)


@pytest.mark.parametrize("settings", [BY_MONEY, WITH_LIMIT])
def test_a_report_counts_for_a_minute(settings):
    assert known(settings, ages=(FRESH - 1, 0)).closed == ""
    stale = known(settings, ages=(FRESH, 0))
    assert stale.closed == "bob has sent no REPORT that counts within a minute"
    assert stale.ratio is stale.equity is None


def test_a_report_of_the_provider_counts_for_a_minute_too():
    assert known(BY_MONEY, ages=(0, FRESH - 1)).ratio == 1
    assert known(BY_MONEY, ages=(0, FRESH)).ratio is None


def test_a_report_from_the_future_does_not_count():
    assert "no REPORT that counts" in known(BY_MONEY, ages=(-1, 0)).closed


@pytest.mark.parametrize("balance", [Decimal(0), Decimal(-1), None])
def test_a_report_without_money_does_not_count(balance):
    assert "no REPORT that counts" in known(BY_MONEY, own=replace(RICH, balance=balance)).closed


@pytest.mark.parametrize("other", [{"account": "2"}, {"server": "Demo"}])
def test_the_first_report_of_another_account_does_not_count_and_the_second_does(other):
    moved = replace(RICH, **other)
    assert "no REPORT that counts" in known(BY_MONEY, own=moved, before=[RICH]).closed
    assert known(BY_MONEY, own=moved, before=[RICH, moved]).closed == ""


def test_two_currencies_have_a_ratio_by_the_rate_alone():
    euros = replace(RICH, currency="EUR")
    assert known(BY_MONEY, theirs=euros).ratio is None
    assert known(replace(BY_MONEY, rate=Decimal(2)), theirs=euros).ratio == Fraction(1, 2)


def test_a_terminal_that_may_not_trade_opens_nothing():
    said = known(ViewSettings(sources=("gold",), follower="bob"), own=replace(RICH, trading=False))
    assert said.closed == "algorithmic trading is off in the terminal of bob"
