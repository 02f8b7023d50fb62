"""What a view makes of the entries of its sources."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mtnet.services.signals.model import Entry
from mtnet.services.signals.views.ledger import Key, Target
from mtnet.services.signals.views.settings import ViewSettings
from mtnet.services.signals.views.transform import MIRRORED, RISK_WAIT, Terms, View

GOLD = Target("XAUUSD", "")
NOW = Terms(1_795_000_000_000)


def view(numbers=None, **chosen):
    sources = tuple(numbers or {"gold": 1})
    return View("half", ViewSettings(sources=sources, **chosen), numbers or {"gold": 1})


def entry(volume, symbol="XAUUSD", ticket="", type="position", when=NOW.when, **fields):
    kept = tuple(sorted(fields.items()))
    return Entry("gold", symbol, Decimal(volume), when, ticket, "", type, kept)


def said(drafts):
    return [(*draft.target, str(draft.shown.volume), draft.shown.type) for draft in drafts]


def volumes(copy):
    return {target: str(shown.volume) for target, shown in copy.shown.items()}


def test_half_of_a_position_is_rounded_toward_zero_to_the_step():
    copy = view(value=Decimal("0.37"), step=Decimal("0.01"))
    assert said(copy.apply("gold", entry("0.50"), NOW)) == [("XAUUSD", "", "0.18", "position")]


def test_a_view_without_settings_is_its_source():
    copy = view()
    drafts = copy.apply("gold", entry("-0.12345", sl="1900", comment="x"), NOW)
    assert drafts[0].shown == (Decimal("-0.12345"), "position", (("comment", "x"), ("sl", "1900")))


def test_a_reduction_never_enlarges_the_copy():
    copy = view(max=Decimal("0.30"), step=Decimal("0.01"))
    copy.apply("gold", entry("1"), NOW)
    assert volumes(copy) == {GOLD: "0.3"}
    assert copy.apply("gold", entry("0.50"), NOW) == []
    copy.apply("gold", entry("0.20"), NOW)
    assert volumes(copy) == {GOLD: "0.2"}


def test_what_a_limit_cut_stays_cut_when_the_provider_grows_again():
    copy = view(max=Decimal("0.30"), step=Decimal("0.01"))
    for volume in ("0.30", "0.10", "0.40"):
        copy.apply("gold", entry(volume), NOW)
    assert volumes(copy) == {GOLD: "0.3"}


def test_an_opening_in_close_only_is_skipped_until_the_provider_is_flat():
    copy = view(mode="close_only")
    assert copy.apply("gold", entry("1"), NOW) == []
    assert copy.set_mode("on") == []
    assert copy.apply("gold", entry("2"), NOW) == []
    assert copy.apply("gold", entry("0"), NOW) == []
    assert said(copy.apply("gold", entry("1"), NOW)) == [("XAUUSD", "", "1", "position")]


def test_closings_pass_every_mode_but_frozen_and_are_sent_when_it_ends():
    copy = view()
    copy.apply("gold", entry("1"), NOW)
    copy.apply("gold", entry("1", symbol="EURUSD"), NOW)
    assert copy.set_mode("frozen") == []
    assert copy.apply("gold", entry("0.4"), NOW) == []
    assert copy.apply("gold", entry("0", symbol="EURUSD"), NOW) == []
    assert copy.apply("gold", entry("1", symbol="GBPUSD"), NOW) == []
    assert said(copy.set_mode("on")) == [
        ("EURUSD", "", "0", "position"),
        ("XAUUSD", "", "0.4", "position"),
    ]


def test_a_reversal_while_only_closing_is_permitted_closes():
    copy = view()
    copy.apply("gold", entry("1"), NOW)
    copy.set_mode("close_only")
    assert said(copy.apply("gold", entry("-1"), NOW)) == [("XAUUSD", "", "0", "position")]
    assert copy.set_mode("on") == []


def test_monitor_shows_nothing_and_what_opened_meanwhile_stays_out():
    copy = view(mode="monitor")
    assert copy.apply("gold", entry("1"), NOW) == []
    assert copy.set_mode("monitor") == []
    assert next(iter(copy.rows.values())).shown == 1
    assert copy.set_mode("on") == []
    assert copy.shown == {}
    assert "before the view was on" in next(iter(copy.rows.values())).skipped


def test_flatten_closes_all_and_resuming_copies_new_openings_alone():
    copy = view()
    copy.apply("gold", entry("1"), NOW)
    assert said(copy.flatten("a person closed the view")) == [("XAUUSD", "", "0", "position")]
    assert copy.set_mode("on") == []
    assert copy.apply("gold", entry("2"), NOW) == []
    copy.apply("gold", entry("0"), NOW)
    assert said(copy.apply("gold", entry("2"), NOW)) == [("XAUUSD", "", "2", "position")]


def test_a_copied_order_keeps_its_decision_when_it_is_filled():
    copy = view(value=Decimal("0.5"))
    copy.apply("gold", entry("1", ticket="7", type="buy_limit"), NOW)
    copy.set_mode("close_only")
    filled = copy.apply("gold", entry("1", ticket="7"), NOW)
    assert said(filled) == [("XAUUSD", "7", "0.5", "position")]


def test_a_fill_is_not_copied_once_a_limit_has_struck():
    copy = view()
    copy.apply("gold", entry("1", ticket="7", type="buy_limit"), NOW)
    copy.mode, copy.struck = "close_only", "`daily_loss` was reached"
    assert said(copy.apply("gold", entry("1", ticket="7"), NOW)) == [
        ("XAUUSD", "7", "0", "position")
    ]


@pytest.mark.parametrize("mode", ["close_only", "frozen"])
def test_a_limit_that_has_struck_stays_so_until_the_view_is_on(mode):
    copy = view()
    copy.apply("gold", entry("1"), NOW)
    copy.struck = "`daily_loss` was reached"
    copy.flatten(copy.struck)
    copy.set_mode(mode)
    assert copy.struck == "`daily_loss` was reached"
    assert copy.apply("gold", entry("1", symbol="EURUSD"), NOW) == []
    assert copy.rows[Key(1, "EURUSD", "")].skipped == "`daily_loss` was reached"
    copy.set_mode("on")
    assert copy.struck == ""
    assert said(copy.apply("gold", entry("1", symbol="GBPUSD"), NOW)) == [
        ("GBPUSD", "", "1", "position")
    ]


def test_the_fill_of_an_order_that_was_left_out_is_an_opening_of_its_own():
    copy = view(pending=False)
    assert copy.apply("gold", entry("1", ticket="7", type="buy_limit"), NOW) == []
    assert said(copy.apply("gold", entry("1", ticket="7"), NOW)) == [
        ("XAUUSD", "7", "1", "position")
    ]


@pytest.mark.parametrize(("asked", "mirrored"), MIRRORED.items())
def test_the_other_side_mirrors_limits_stops_and_both_ends(asked, mirrored):
    copy = view(reverse=True)
    (draft,) = copy.apply("gold", entry("1", ticket="7", type=asked, sl="1", tp="2"), NOW)
    assert draft.shown == (Decimal(-1), mirrored, (("sl", "2"), ("tp", "1")))


def test_an_order_without_a_mirror_is_skipped_with_a_sentence():
    copy = view(reverse=True)
    assert copy.apply("gold", entry("1", ticket="7", type="buy_stop_limit"), NOW) == []
    assert next(iter(copy.rows.values())).skipped == "buy_stop_limit has no mirror"


def test_two_symbols_never_share_one_name_of_the_view():
    copy = view(map={"XAUUSD": "GOLD"})
    copy.apply("gold", entry("1"), NOW)
    assert copy.apply("gold", entry("-5", symbol="GOLD"), NOW) == []
    assert volumes(copy) == {Target("GOLD", ""): "1"}
    assert copy.apply("gold", entry("0", symbol="GOLD"), NOW) == []


def test_a_new_map_counts_for_later_openings_and_still_closes_the_old_one():
    copy = view()
    copy.apply("gold", entry("1"), NOW)
    copy.settings = ViewSettings(sources=("gold",), map={"XAUUSD": "GOLD"})
    assert copy.apply("gold", entry("2"), NOW) != []
    assert volumes(copy) == {GOLD: "2"}
    assert said(copy.apply("gold", entry("-1"), NOW)) == [
        ("XAUUSD", "", "0", "position"),
        ("GOLD", "", "-1", "position"),
    ]


@pytest.mark.parametrize(
    "edited",
    [
        {"exclude": ("XAUUSD",)},
        {"symbols": ("EURUSD",)},
        {"side": "sell"},
        {"magic": ("7",)},
        {"hours": ("Sat 07:00-07:01",)},
    ],
)
def test_what_is_copied_is_reduced_and_closed_though_an_edit_leaves_it_out(edited):
    reduced, turned = view(), view()
    for copy in (reduced, turned):
        copy.apply("gold", entry("1"), NOW)
        copy.settings = ViewSettings(sources=("gold",), **edited)
    assert said(reduced.apply("gold", entry("0.4"), NOW)) == [("XAUUSD", "", "0.4", "position")]
    assert said(reduced.apply("gold", entry("0"), NOW)) == [("XAUUSD", "", "0", "position")]
    turned.apply("gold", entry("-1"), NOW)
    assert all(each.volume < 0 for each in turned.shown.values())


@pytest.mark.parametrize("edited", [{"pending": False}, {"reverse": True}])
def test_an_order_that_is_copied_is_removed_though_an_edit_leaves_it_out(edited):
    copy = view()
    copy.apply("gold", entry("1", ticket="7", type="buy_stop_limit"), NOW)
    copy.settings = ViewSettings(sources=("gold",), **edited)
    gone = copy.apply("gold", entry("0", ticket="7"), NOW)
    assert said(gone) == [("XAUUSD", "7", "0", "position")]


def test_several_sources_become_tickets_by_their_numbers():
    copy = view({"gold": 1, "silver": 3})
    copy.apply("gold", entry("1"), NOW)
    copy.apply("silver", entry("-2", ticket="9"), NOW)
    assert volumes(copy) == {Target("XAUUSD", "1"): "1", Target("XAUUSD", "3.9"): "-2"}


def test_force_min_keeps_the_smallest_lot_until_the_provider_is_flat():
    copy = view(value=Decimal("0.1"), step=Decimal("0.01"), min=Decimal("0.01"), force_min=True)
    for volume, shown in (("0.5", "0.05"), ("0.04", "0.01"), ("0.01", "0.01")):
        copy.apply("gold", entry(volume), NOW)
        assert volumes(copy) == {GOLD: shown}
    copy.apply("gold", entry("0"), NOW)
    assert volumes(copy) == {}


def test_below_the_smallest_lot_nothing_is_held():
    copy = view(value=Decimal("0.1"), step=Decimal("0.01"), min=Decimal("0.03"))
    copy.apply("gold", entry("0.5"), NOW)
    assert said(copy.apply("gold", entry("0.2"), NOW)) == [("XAUUSD", "", "0", "position")]


def test_fixed_lots_are_not_capped_by_max_k_and_shrink_with_the_provider():
    copy = view(size="fixed", value=Decimal("1"), step=Decimal("0.01"))
    copy.apply("gold", entry("0.02"), NOW)
    assert volumes(copy) == {GOLD: "1"}
    copy.apply("gold", entry("0.04"), NOW)
    assert volumes(copy) == {GOLD: "1"}
    copy.apply("gold", entry("0.01"), NOW)
    assert volumes(copy) == {GOLD: "0.5"}


def test_a_ratio_of_money_is_frozen_at_the_opening():
    copy = view(size="equity", follower="bob", provider="al")
    rich = replace(NOW, ratio=Fraction(1, 3))
    copy.apply("gold", entry("0.90"), rich)
    assert volumes(copy) == {GOLD: "0.3"}
    copy.apply("gold", entry("1.20"), replace(NOW, ratio=Fraction(5)))
    assert volumes(copy) == {GOLD: "0.4"}


def test_without_known_money_nothing_is_opened():
    copy = view(size="equity", follower="bob", provider="al")
    assert copy.apply("gold", entry("0.90"), NOW) == []
    assert "money" in next(iter(copy.rows.values())).skipped


def risky(**chosen):
    copy = view(size="risk", value=Decimal(1), follower="bob", step=Decimal("0.01"), **chosen)
    return copy, Terms(NOW.when, equity=Decimal(10_000), tick_value={"XAUUSD": Fraction(100)})


def test_risk_is_a_part_of_the_equity_over_the_distance_to_the_stop():
    copy, terms = risky()
    copy.apply("gold", entry("1", price="2000", sl="1990"), terms)
    assert volumes(copy) == {GOLD: "0.1"}


def test_risk_waits_a_minute_for_the_stop_loss():
    copy, terms = risky()
    assert copy.apply("gold", entry("1", price="2000"), terms) == []
    later = replace(terms, when=terms.when + RISK_WAIT)
    copy.apply("gold", entry("1", price="2000", sl="1990"), later)
    assert volumes(copy) == {GOLD: "0.1"}


def test_risk_skips_an_opening_whose_stop_loss_comes_too_late():
    copy, terms = risky()
    copy.apply("gold", entry("1", price="2000"), terms)
    late = replace(terms, when=terms.when + RISK_WAIT + 2)
    assert copy.apply("gold", entry("1", price="2000", sl="1990"), late) == []
    assert "a minute" in next(iter(copy.rows.values())).skipped


def test_a_copy_that_the_follower_closed_stays_closed_until_the_provider_is_flat():
    copy = view()
    copy.apply("gold", entry("1"), NOW)
    assert said(copy.release(1, GOLD, Decimal(0), "stop out")) == [("XAUUSD", "", "0", "position")]
    assert copy.apply("gold", entry("2"), NOW) == []
    copy.apply("gold", entry("0"), NOW)
    copy.apply("gold", entry("1"), NOW)
    assert volumes(copy) == {GOLD: "1"}


def test_a_release_of_an_earlier_opening_counts_for_nothing():
    copy = view()
    for volume in ("1", "0", "1"):
        copy.apply("gold", entry(volume), NOW)
    assert copy.release(1, GOLD, Decimal(0), "") == []
    assert volumes(copy) == {GOLD: "1"}


def test_a_copy_that_the_follower_holds_in_part_is_cut_to_that():
    copy = view(value=Decimal("0.5"), step=Decimal("0.01"))
    copy.apply("gold", entry("1"), NOW)
    assert said(copy.release(1, GOLD, Decimal("0.20"), "")) == [("XAUUSD", "", "0.2", "position")]
    assert copy.apply("gold", entry("0.60"), NOW) == []
    copy.apply("gold", entry("0.20"), NOW)
    assert volumes(copy) == {GOLD: "0.1"}


def test_what_was_open_before_the_view_is_skipped_unless_it_asks_for_it():
    held = [entry("1"), entry("2", symbol="EURUSD")]
    assert view().join("gold", held, NOW) == []
    assert len(view(late_join="open").join("gold", held, NOW)) == 2


def test_the_limits_of_a_symbol_and_of_the_view_count_all_that_is_copied():
    copy = view(max_symbol=Decimal("1"), max_total=Decimal("1.5"), step=Decimal("0.1"))
    copy.apply("gold", entry("0.8", ticket="1"), NOW)
    copy.apply("gold", entry("0.8", ticket="2"), NOW)
    copy.apply("gold", entry("0.8", symbol="EURUSD"), NOW)
    assert list(volumes(copy).values()) == ["0.8", "0.2", "0.5"]


def test_nothing_opens_out_of_hours_and_closings_do():
    copy = view(hours=("Mon-Fri 07:00-20:00",), zone="Europe/Athens")
    friday = 1_795_161_600_000  # 2026-11-20 08:00 UTC, 10:00 in Athens
    copy.apply("gold", entry("1"), Terms(friday))
    night = Terms(friday + 12 * 3_600_000)
    assert copy.apply("gold", entry("2"), night) == []
    assert copy.apply("gold", entry("1", symbol="EURUSD"), night) == []
    assert said(copy.apply("gold", entry("0.5"), night)) == [("XAUUSD", "", "0.5", "position")]


LOTS = st.sampled_from(["0", "0.01", "0.07", "0.5", "1", "3.33", "-0.01", "-0.2", "-2.5"])
STEPS = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(["gold", "silver"]), st.sampled_from("AB"), LOTS),
    st.tuples(st.just("mode"), st.sampled_from(["on", "close_only", "frozen", "monitor"])),
    st.tuples(st.just("flatten")),
    st.tuples(st.just("release"), st.integers(0, 5), st.sampled_from(["0", "0.01", "1"])),
)
CHOICES = st.fixed_dictionaries(
    {
        "value": st.sampled_from([Decimal("0.37"), Decimal(1), Decimal(3)]),
        "step": st.sampled_from([None, Decimal("0.01"), Decimal("0.1")]),
        "max": st.sampled_from([None, Decimal("0.3")]),
        "max_total": st.sampled_from([None, Decimal("0.9")]),
        "reverse": st.booleans(),
    }
)


@given(CHOICES, st.lists(STEPS, max_size=40))
@settings(max_examples=300, deadline=None)
def test_a_view_never_grows_when_its_provider_reduces_and_is_what_its_ledger_says(chosen, steps):
    copy, held = view({"gold": 1, "silver": 2}, **chosen), {}
    for kind, *rest in steps:
        before = dict(copy.shown)
        if kind == "set":
            channel, symbol, lots = rest
            was, now = held.get((channel, symbol), Decimal(0)), Decimal(lots)
            if not now and not was:
                continue
            held[channel, symbol] = now
            copy.apply(channel, entry(lots, symbol), NOW)
            if abs(now) <= abs(was) and was * now >= 0:
                for target, shown in copy.shown.items():
                    old = before[target].volume
                    assert abs(shown.volume) <= abs(old)
                    assert shown.volume * old > 0
        elif kind == "mode":
            if rest[0] == "monitor" and copy.shown:
                continue
            copy.set_mode(rest[0])
        elif kind == "flatten":
            copy.flatten("a person closed it")
            assert not copy.shown
        elif before:
            target = sorted(before)[rest[0] % len(before)]
            copy.release(copy.seq, target, Decimal(rest[1]), "")
        if copy.mode not in ("frozen", "monitor"):
            wanted = {row.target: row.shown for row in copy.rows.values() if row.shown}
            assert wanted == {target: shown.volume for target, shown in copy.shown.items()}
        for row in copy.rows.values():
            assert row.copied <= abs(row.volume)
            assert abs(row.shown) <= (row.size.k * Fraction(abs(row.volume)) if row.size else 0)
            if row.size:
                exact = row.size.k * row.copied
                assert 0 <= exact - Fraction(abs(row.shown)) < Fraction(row.size.step)
                assert row.shown % row.size.step == 0
    for channel, symbol in held:
        copy.apply(channel, entry("0", symbol), NOW)
    copy.set_mode("on")
    assert not copy.shown
    assert not copy.rows


def test_an_opening_that_waits_for_its_stop_loss_is_decided_by_the_settings_of_its_opening():
    copy, terms = risky()
    copy.apply("gold", entry("1", price="2000"), terms)
    copy.settings = ViewSettings(sources=("gold",), exclude=("XAUUSD",), value=Decimal(9))
    copy.apply("gold", entry("1", price="2000", sl="1990"), terms)
    assert volumes(copy) == {GOLD: "0.1"}


def test_an_opening_that_waits_is_skipped_once_nothing_may_open():
    copy, terms = risky()
    copy.apply("gold", entry("1", price="2000"), terms)
    copy.set_mode("close_only")
    assert copy.apply("gold", entry("1", price="2000", sl="1990"), terms) == []
    (row,) = copy.rows.values()
    assert row.skipped == "the view was close_only"


def test_a_reversal_behind_an_edit_of_reverse_closes_before_it_opens():
    copy = view(reverse=True)
    copy.apply("gold", entry("1"), NOW)
    copy.settings = ViewSettings(sources=("gold",), value=Decimal(2))
    assert said(copy.apply("gold", entry("-1"), NOW)) == [
        ("XAUUSD", "", "0", "position"),
        ("XAUUSD", "", "-2", "position"),
    ]
    (row,) = copy.rows.values()
    assert row.seq == 3
