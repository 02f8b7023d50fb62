"""What is remembered of what terminals told."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from mtnet.services.signals.reports.registry import (
    INTERVAL,
    MAX_SPECS,
    MAX_TERMINALS,
    Reported,
    Reports,
    TerminalKey,
    plain,
)
from mtnet.services.signals.reports.wire import Report, Spec

ALICE = TerminalKey("alice", "desk")


def money(amount):
    return Report(balance=Decimal(amount))


def test_the_last_two_reports_are_remembered_with_their_times():
    reports = Reports()
    assert reports.last_two("alice", "desk") == ()
    for number in range(3):
        reports.report(ALICE, money(number), number * 10_000)
    assert reports.last_two("alice", "desk") == (
        Reported(money(2), 20_000),
        Reported(money(1), 10_000),
    )


def test_of_the_reports_of_a_second_the_last_is_kept():
    reports = Reports()
    reports.report(ALICE, money(1), 5_000)
    for number in range(100):
        reports.report(ALICE, money(number), 20_000 + number)
    assert reports.last_two("alice", "desk") == (
        Reported(money(99), 20_000),
        Reported(money(1), 5_000),
    )


def test_a_clock_that_was_set_back_does_not_keep_the_old_report():
    reports = Reports()
    reports.report(ALICE, money(1), 9_000_000)
    reports.report(ALICE, money(2), 1_000)
    assert reports.last_two("alice", "desk")[0] == Reported(money(2), 1_000)


def test_terminals_of_one_login_are_told_apart_by_their_names_and_the_logins_too():
    reports = Reports()
    for number, key in enumerate([("alice", "a"), ("alice", "b"), ("bob", "a"), ("alice", "")]):
        reports.report(TerminalKey(*key), money(number), 5)
        reports.describe(TerminalKey(*key), Spec("EURUSD", digits=number), 6)
    assert reports.last_two("bob", "a")[0].report == money(2)
    assert reports.last_two("alice", "")[0].report == money(3)
    assert reports.spec("alice", "b", "EURUSD").spec.digits == 1
    assert reports.spec("alice", "b", "GBPUSD") is None
    assert reports.spec("carol", "b", "EURUSD") is None


def test_a_login_that_draws_names_forgets_those_of_its_own_that_were_silent_longest():
    reports = Reports()
    reports.report(TerminalKey("bob", "a"), money(1), 5)
    for number in range(MAX_TERMINALS):
        reports.report(TerminalKey("alice", f"{number}"), money(number), number)
    reports.report(TerminalKey("alice", "0"), money(7), 10_000)
    reports.report(TerminalKey("alice", "new"), money(8), 10_001)
    assert reports.last_two("alice", "1") == ()
    assert reports.last_two("alice", "0")[0].report == money(7)
    assert reports.last_two("bob", "a")
    assert sum(each.login == "alice" for each in reports) == MAX_TERMINALS


def test_the_symbol_that_was_described_longest_ago_is_forgotten():
    reports = Reports()
    for number in range(MAX_SPECS):
        reports.describe(ALICE, Spec(f"S{number}", digits=1), number)
    reports.describe(ALICE, Spec("S0", digits=2), 1_000)
    reports.describe(ALICE, Spec("NEW", digits=3), 1_001)
    assert reports.spec("alice", "desk", "S1") is None
    assert reports.spec("alice", "desk", "S0").spec.digits == 2
    assert reports.spec("alice", "desk", "NEW").time == 1_001


def test_what_people_are_shown_is_json_with_exact_money():
    reports = Reports()
    reports.report(ALICE, Report(trading=False, balance=Decimal("10.50")), 5)
    reports.describe(ALICE, Spec("EURUSD", step=Decimal("0.01")), 6)
    assert reports.status() == {
        "alice/desk": {
            "login": "alice",
            "name": "desk",
            "time": 5,
            "report": {"trading": False, "balance": "10.50"},
            "specs": {"EURUSD": {"symbol": "EURUSD", "step": "0.01"}},
        }
    }


@given(st.lists(st.tuples(st.sampled_from(["report", "describe", "restart"]), st.integers(0, 60))))
def test_the_newest_report_of_each_terminal_is_shown(steps):
    reports = Reports()
    for when, (what, number) in enumerate(steps):
        key = TerminalKey("alice", f"{number}" if number else "")
        if what == "report":
            reports.report(key, money(when), when * INTERVAL)
        elif what == "describe":
            reports.describe(key, Spec("EURUSD", digits=5), when)
        else:
            reports = Reports(reports.copy())
    known = {
        name: (each["time"], each["report"]) for name, each in reports.status().items()
        if each["time"] is not None
    }  # fmt: skip
    newest = reports.newest()
    assert {name: (each.time, plain(each.report)) for name, each in newest.items()} == known
    assert all(reports.newest()[name] is each for name, each in newest.items())


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3_000)), max_size=60))
def test_no_two_kept_reports_of_a_terminal_are_of_one_second(steps):
    reports, when = Reports(), 0
    for name, passed in steps:
        when += passed
        reports.report(TerminalKey("alice", f"{name}"), money(when), when)
        newest, *older = reports.last_two("alice", f"{name}")
        assert newest.report == money(when), "the newest is known at once"
        assert when - newest.time < INTERVAL
        assert all(newest.time - each.time >= INTERVAL for each in older)


def test_a_login_without_a_name_means_its_terminal_that_spoke_last():
    reports = Reports()
    for when, name in enumerate(("desk", "laptop", "desk")):
        reports.report(TerminalKey("alice", name), Report(account=name), when)
    assert reports.last_two("alice", "")[0].report.account == "desk"
    assert reports.last_two("alice", "phone") == ()
