"""The line of the equity of a terminal."""

from decimal import Decimal

from mtnet.services.signals.reports import history
from mtnet.services.signals.reports.history import KEPT, SLOT, EquityLine, EquityLines
from mtnet.services.signals.reports.registry import TerminalKey
from mtnet.services.signals.reports.wire import Report

NOON = 1_700_000_100_000
"""A time at which a slot begins."""


def report(equity, account="77"):
    return Report(equity=Decimal(equity), account=account)


def line(*notes):
    found = EquityLine()
    for when, equity, *account in notes:
        found.note(report(equity, *account), when)
    return [*found]


def test_of_five_minutes_the_last_value_is_kept():
    assert line((NOON, "100.5"), (NOON + SLOT - 1, "99.25"), (NOON + SLOT, "101")) == [
        (NOON + SLOT - 1, "99.25"),
        (NOON + SLOT, "101.0"),
    ]


def test_after_a_day_the_oldest_value_makes_room():
    found = line(*((NOON + number * SLOT, number) for number in range(KEPT + 5)))
    assert (len(found), found[0][1], found[-1][1]) == (KEPT, "5.0", f"{KEPT + 4}.0")


def test_another_account_begins_a_line_of_its_own():
    assert line((NOON, "100", "77"), (NOON + SLOT, "9000", "78")) == [(NOON + SLOT, "9000.0")]


def test_a_clock_that_was_set_back_begins_anew():
    assert line((NOON + SLOT, "100"), (NOON, "101")) == [(NOON, "101.0")]


def test_a_report_without_equity_is_no_point():
    found = EquityLine()
    found.note(Report(balance=Decimal(5)), NOON)
    assert [*found] == []


def test_of_too_many_terminals_the_one_that_was_silent_longest_makes_room(monkeypatch):
    monkeypatch.setattr(history, "MAX_LINES", 2)
    lines = EquityLines()
    for name in ("one", "two", "one", "three"):
        lines.note(TerminalKey("alice", name), report("1"), NOON)
    kept = [lines.of(TerminalKey("alice", name)) for name in ("one", "two", "three")]
    assert kept == [[(NOON, "1.0")], None, [(NOON, "1.0")]]
