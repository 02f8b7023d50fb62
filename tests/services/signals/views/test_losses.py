"""When the losses of a follower end what is opened for it."""

from decimal import Decimal

from mtnet.services.signals.reports.equity import DAY
from mtnet.services.signals.reports.registry import Reported
from mtnet.services.signals.reports.wire import Report
from mtnet.services.signals.views.losses import APART, judge
from mtnet.services.signals.views.settings import ViewSettings

NOON = 20_000 * DAY + DAY // 2
DAILY = ViewSettings(sources=("gold",), follower="bob", daily_loss="5%")
DRAWDOWN = ViewSettings(sources=("gold",), follower="bob", max_drawdown="500")


def report(equity, when=NOON, balance="10000", **fields):
    return Reported(
        Report(balance=Decimal(balance), equity=Decimal(equity), account="1", **fields), when
    )


def run(settings, *reports):
    bases, why = None, ""
    for each in reports:
        bases, why = judge(settings, bases, each)
    return why


def test_one_report_beyond_a_limit_may_be_a_slip():
    assert run(DAILY, report("10000"), report("9400", NOON + 1_000)) == ""


def test_two_reports_beyond_it_at_least_ten_seconds_apart_strike():
    beyond = [report("9500", NOON + 1_000), report("9490", NOON + 1_000 + APART)]
    assert run(DAILY, report("10000"), *beyond) == (
        "`daily_loss` 5% was reached: 10000 became 9490"
    )


def test_two_reports_beyond_it_that_are_closer_do_not():
    beyond = [report("9500", NOON + 1_000), report("9490", NOON + APART)]
    assert run(DAILY, report("10000"), *beyond) == ""


def test_a_report_within_the_limit_begins_the_wait_anew():
    path = ["9400", "9600", "9400"]
    reports = [report(equity, NOON + n * APART) for n, equity in enumerate(path, 1)]
    assert run(DAILY, report("10000"), *reports) == ""


def test_the_day_begins_at_midnight_of_the_followers_broker():
    evening = 20_001 * DAY - 3_600_000  # 23:00 UTC is 02:00 of the next day in Athens
    losses = [
        report("9400", evening, offset=10_800),
        report("9400", evening + APART, offset=10_800),
    ]
    assert run(DAILY, report("10000", NOON, offset=10_800), *losses) == ""
    assert "daily_loss" in run(
        DAILY, report("10000"), report("9400", evening), report("9400", evening + APART)
    )


def test_drawdown_counts_from_the_highest_equity():
    losses = [report("10400", NOON + 2_000), report("10400", NOON + 2_000 + APART)]
    assert "max_drawdown" in run(DRAWDOWN, report("10000"), report("10900", NOON + 1_000), *losses)


def test_a_withdrawal_is_no_loss():
    margin = Decimal("120")
    paid = [report("9000", NOON + n * APART, balance="9000", margin=margin) for n in range(1, 4)]
    assert run(DAILY, report("10000", margin=margin), *paid) == ""


def test_a_loss_that_was_taken_moves_no_base():
    taken = [
        report("9400", NOON + n * APART, balance="9400", margin=Decimal(0)) for n in range(1, 4)
    ]
    assert "daily_loss" in run(DAILY, report("10000", margin=Decimal(120)), *taken)


def test_a_loss_that_was_taken_counts_without_a_margin_too():
    taken = [report("9400", NOON + n * APART, balance="9400") for n in range(1, 4)]
    assert "daily_loss" in run(DAILY, report("10000"), *taken)


def test_another_account_closes_the_view():
    other = Reported(Report(balance=Decimal(1), equity=Decimal(1), account="2"), NOON + 1)
    assert run(DAILY, report("10000"), other) == "the follower's account is 2@ now"


def test_a_report_without_money_counts_for_nothing():
    assert run(DAILY, report("10000"), Reported(Report(trading=True), NOON)) == ""


def flat_loss(moves):
    """Lose 6 % between two REPORTs that both show no margin, with these counts of moves."""
    bases, why = None, ""
    for number, (balance, count) in enumerate(zip(("10000", "9400", "9400"), moves, strict=True)):
        flat = report(balance, NOON + number * APART, balance=balance, margin=Decimal(0))
        bases, why = judge(DAILY, bases, flat, count)
    return why


def test_a_loss_that_was_opened_and_closed_between_two_reports_is_no_withdrawal():
    assert "daily_loss" in flat_loss([(1, 0), (3, 0), (3, 0)])


def test_nor_is_one_of_an_entry_that_was_told_before_and_acknowledged_meanwhile():
    assert "daily_loss" in flat_loss([(1, 0), (1, 1), (1, 1)])


def test_money_that_goes_while_nothing_was_told_or_acknowledged_was_withdrawn():
    assert flat_loss([(1, 1), (1, 1), (1, 1)]) == ""
