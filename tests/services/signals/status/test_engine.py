"""What is wrong with whom: situations, and the code that each must give."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mtnet.services.signals.reports.registry import Reported
from mtnet.services.signals.reports.wire import Report
from mtnet.services.signals.status.engine import judge, lasts
from mtnet.services.signals.status.facts import (
    ChannelFacts,
    Copy,
    FollowerFacts,
    Key,
    ProviderFacts,
    ProviderState,
    ViewState,
)
from mtnet.services.signals.status.warnings import ORDER, RULES, duration

NOW = 1_700_000_000_000
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
UP = ProviderState("alice/desk", since=NOW - HOUR, heard=NOW)
GOLD = ChannelFacts("gold", 50, UP)
BOB = FollowerFacts("bob", GOLD, since=NOW - HOUR, sent=50, heard=NOW)
ALICE = ProviderFacts("alice/desk", GOLD, since=NOW - HOUR, heard=NOW)
EURUSD = Key("EURUSD", "")
TICKET = Key("EURUSD", "77")


def reported(age=0, account="1", **said):
    return Reported(Report(account=account, server="Broker", **said), NOW - age)


def channel(**changes):
    return {"channel": replace(GOLD, **changes)}


def provider(**changes):
    return channel(provider=replace(UP, **changes))


def copies(key=EURUSD, wanted="1", held="0", **said):
    held = None if held is None else Decimal(held)
    return {"copies": {key: Copy(Decimal(wanted), held, **said)}}


FOLLOWERS = {
    "all is well": ({}, "ok", []),
    "an ACK is due only after 15 s": ({"next": 50, "unacknowledged": NOW - 15_000}, "ok", []),
    "offline": ({"connected": False, "since": NOW - HOUR}, "offline", ["offline"]),
    "it said BYE": ({"connected": False, "left": True}, "offline", ["switched_off"]),
    "no sign of life": ({"heard": NOW - 12_001}, "error", ["blind"]),
    "a classic one gives none": ({"heard": None}, "ok", []),
    "it takes no byte": ({"stalled": NOW - 5_001}, "error", ["slow"]),
    "algorithmic trading is off": ({"reports": (reported(trading=False),)}, "error",
                                   ["trading_off"]),
    "no ACK for 15 s": ({"next": 50, "unacknowledged": NOW - 15_001}, "error",
                        ["not_acknowledged"]),
    "it came back just now": ({"since": NOW, "unacknowledged": NOW - HOUR}, "ok", []),
    "not sent yet": ({"sent": 40, "unsent": NOW - 5_001}, "warning", ["behind"]),
    "refused": (copies(held=None, failed=True), "error", ["refused"]),
    "refused, and it holds less": (copies(failed=True, right=False), "error",
                                   ["wrong_volume", "refused"]),
    "it holds the other side": (copies(held="-1", right=False, same_side=False), "error",
                                ["wrong_volume"]),
    "it holds what is closed": (copies(wanted="0", held="1", right=False, same_side=False), "error",
                                ["wrong_volume"]),
    "it multiplies": (copies(held="0.5", right=False), "unknown", ["other_volume"]),
    "a view for it multiplies": (
        {**channel(view=ViewState(exact=True)), **copies(held="0.5", right=False)}, "error",
        ["wrong_volume"]),
    "it never acknowledges": ({"acknowledges": False, "unacknowledged": NOW - HOUR}, "unknown",
                              ["unconfirmed"]),
    "it has not told its lots of a symbol": ({"untold": ("EURUSD",)}, "unknown", ["untold"]),
    "it reports, and acknowledges nothing": (
        {"acknowledges": False, "unacknowledged": NOW - HOUR, "reports": (reported(),)}, "error",
        ["not_acknowledged"]),
    "a terminal in a channel without signals": (
        {"acknowledges": False, "sent": 0, "reports": (reported(),),
         **channel(seq=0, provider=ProviderState(up=False))}, "warning", ["no_provider"]),
    "it reports, and has acknowledged nothing yet": (
        {"acknowledges": False, "reports": (reported(),)}, "unknown", ["unconfirmed"]),
    "the REPORT is old": ({"reports": (reported(60_001),)}, "warning", ["report_stale"]),
    "it came back, and reports soon": ({"since": NOW, "reports": (reported(HOUR),)}, "ok", []),
    "two accounts": ({"reports": (reported(), reported(SECOND, "2"))}, "error", ["two_accounts"]),
    "an old expert": ({"client": "MtnetFollower 1.99"}, "warning", ["old_client"]),
    "the present expert": ({"client": "MtnetFollower 2.00"}, "ok", []),
    "another program": ({"client": "mine 0.01"}, "ok", []),
    "damaged": (channel(damaged=True), "error", ["damaged"]),
    "diverged": (channel(diverged=True), "error", ["diverged"]),
    "paused": (channel(paused="close_only"), "ok", ["paused"]),
    "frozen": (channel(paused="frozen"), "ok", ["frozen"]),
    "a limit has struck": (channel(view=ViewState(struck="it lost")), "warning", ["limit_struck"]),
    "a view without REPORT": (channel(view=ViewState(waits="no REPORT")), "warning",
                              ["waiting_for_report"]),
    "the provider is offline": (provider(up=False), "warning", ["provider_offline"]),
    "the provider said BYE": (provider(up=False, left=True), "warning", ["provider_switched_off"]),
    "nobody has published": (channel(seq=0, provider=ProviderState(up=False)), "warning",
                             ["no_provider"]),
    "a program has published once": (provider(who="", up=False), "ok", []),
    "the provider is silent": (provider(heard=NOW - 12_001), "warning", ["provider_silent"]),
    "the provider's trading is off": (provider(trading=False), "warning",
                                      ["provider_trading_off"]),
    "one of two sources has none": (provider(missing=("silver",)), "warning", ["some_providers"]),
    "offline, of a provider that is offline": (
        {"connected": False, **provider(up=False)}, "offline", ["offline", "provider_offline"]),
    "the most urgent first": (
        {"heard": NOW - HOUR, "reports": (reported(trading=False),), **channel(paused="frozen")},
        "error", ["blind", "trading_off", "frozen"]),
    "wrong positions, then what is late, then what threatens the next signal": (
        {"next": 50, "unacknowledged": NOW - HOUR, "reports": (reported(trading=False),),
         **copies(failed=True, right=False)},
        "error", ["wrong_volume", "refused", "not_acknowledged", "trading_off"]),
}  # fmt: skip
PROVIDERS = {
    "all is well": ({}, "ok", []),
    "offline": ({"connected": False}, "offline", ["provider_offline"]),
    "it said BYE": ({"connected": False, "left": True}, "offline", ["provider_switched_off"]),
    "nobody has published": (
        {"who": "", "connected": False, **channel(seq=0)}, "warning", ["no_provider"]),
    "fenced": ({"fenced": True}, "error", ["fenced"]),
    "silent": ({"heard": NOW - 12_001}, "error", ["provider_silent"]),
    "a classic one gives no sign": ({"heard": None}, "ok", []),
    "trading is off": ({"reports": (reported(trading=False),)}, "error", ["provider_trading_off"]),
    "the REPORT is old": ({"reports": (reported(60_001),)}, "warning", ["report_stale"]),
    "two accounts": ({"reports": (reported(), reported(SECOND, "2"))}, "error", ["two_accounts"]),
    "an old expert": ({"client": "MtnetProvider 1.00"}, "warning", ["old_client"]),
    "damaged": (channel(damaged=True), "error", ["damaged"]),
    "diverged": (channel(diverged=True), "error", ["diverged"]),
    "paused": (channel(paused="close_only"), "ok", ["paused"]),
    "frozen": (channel(paused="frozen"), "ok", ["frozen"]),
    "offline, of a channel that is paused": (
        {"connected": False, **channel(paused="close_only")}, "offline",
        ["provider_offline", "paused"]),
}  # fmt: skip


@pytest.mark.parametrize("situation", FOLLOWERS)
def test_a_situation_of_a_follower_has_its_codes(situation):
    changes, status, codes = FOLLOWERS[situation]
    found = judge(replace(BOB, **changes), NOW)
    assert (found.status, [each.code for each in found.warnings]) == (status, codes)


@pytest.mark.parametrize("situation", PROVIDERS)
def test_a_situation_of_a_provider_has_its_codes(situation):
    changes, status, codes = PROVIDERS[situation]
    found = judge(replace(ALICE, **changes), NOW)
    assert (found.status, [each.code for each in found.warnings]) == (status, codes)


@pytest.mark.parametrize(("role", "table"), [("follower", FOLLOWERS), ("provider", PROVIDERS)])
def test_every_code_has_a_situation(role, table):
    shown = {code for _, _, codes in table.values() for code in codes}
    assert shown == {code for code, rule in RULES.items() if getattr(rule, role) is not None}


def test_priorities_differ_and_rise():
    priorities = [rule.priority for rule in RULES.values()]
    assert priorities == sorted(set(priorities))


@pytest.mark.parametrize(("role", "alone"), [("follower", ()), ("provider", ("no_provider",))])
def test_the_first_warning_says_why_somebody_must_act(role, alone):
    statuses = [getattr(rule, role) for code, rule in RULES.items() if code not in alone]
    urgent = [each in ("error", "offline") for each in statuses if each is not None]
    assert urgent == sorted(urgent, reverse=True)


def test_every_sentence_is_whole_and_names_who_or_where():
    table = [(BOB, FOLLOWERS), (ALICE, PROVIDERS)]
    for facts, situations in table:
        for changes, _, _ in situations.values():
            for warning in judge(replace(facts, **changes), NOW).about(facts.who):
                assert warning.text.endswith(".")
                assert not warning.text.startswith(" ")
                assert any(name in warning.text for name in ("bob", "alice", "gold", "provider"))


@pytest.mark.parametrize(("sent", "words"), [(49, "1 signal and"), (40, "10 signals and")])
def test_a_sentence_counts_signals(sent, words):
    found = judge(replace(BOB, sent=sent, unsent=NOW - MINUTE), NOW)
    assert found.about("bob")[0].text.startswith(f"bob is {words} 60 s behind on gold:")


def test_a_sentence_says_what_is_held_and_what_to_do():
    facts = replace(BOB, **copies(TICKET, held="0.3", failed=True, right=False, reason="no money"))
    wrong, refused = judge(facts, NOW).about("bob")
    assert wrong.text == (
        "bob holds 0.3 of EURUSD #77, it should hold 1 (no money): correct it at the terminal."
    )
    assert refused.text.startswith("bob could not carry out EURUSD #77 1 (no money):")


LATE = {"next": 50, "unacknowledged": NOW - 20_000}
WHY = {
    "nobody knows why it is silent": (
        {"heard": NOW - 13_000},
        "Nothing was heard of bob for 13 s: look whether its terminal hangs and its network works.",
    ),
    "its machine is there": (
        {"heard": NOW - 13_000, "untaken": 0},
        "Nothing was heard of bob for 13 s, though all that was sent has arrived: its terminal "
        "hangs, so restart it.",
    ),
    "its machine is not there": (
        {"heard": NOW - 13_000, "untaken": 82, "resent": True},
        "Nothing was heard of bob for 13 s, and its machine does not answer: look at its network, "
        "and whether it is on.",
    ),
    "it is silent and does not read": (
        {"heard": NOW - 13_000, "untaken": 71_234},
        "Nothing was heard of bob for 13 s, and it does not read, 71 kB wait for it: its terminal "
        "hangs, so restart it.",
    ),
    "it takes no byte": (
        {"stalled": NOW - 7_000, "untaken": 312_345},
        "bob does not read, and has taken no byte for 7 s: 310 kB wait for it: look whether its "
        "terminal hangs and its network works.",
    ),
    "it answers": (
        LATE,
        "bob has not acknowledged signal 50 for 20 s: its connection works, so its program waits "
        "or cannot trade; see its journal.",
    ),
    "it gives no sign of life": (
        {**LATE, "heard": None},
        "bob has not acknowledged signal 50 for 20 s: look whether its program trades, and what "
        "its journal says.",
    ),
}


@pytest.mark.parametrize("situation", WHY)
def test_a_sentence_says_why_somebody_is_behind(situation):
    changes, sentence = WHY[situation]
    assert judge(replace(BOB, **changes), NOW).about("bob")[0].text == sentence


@pytest.mark.parametrize(
    ("untaken", "text"),
    [(1, "less than 1 kB"), (1_234, "1.2 kB"), (9_999, "10 kB"), (312_345, "310 kB"),
     (999_999, "1 MB"), (12_345_678, "12 MB")],
)  # fmt: skip
def test_bytes_that_wait_are_told_with_two_digits(untaken, text):
    found = judge(replace(BOB, stalled=NOW - 7_000, untaken=untaken), NOW).about("bob")
    assert f" {text} wait" in found[0].text


def test_followers_that_are_judged_alike_share_one_judgement():
    bob, carol = (judge(replace(BOB, who=who, acknowledges=False), NOW) for who in ("bob", "carol"))
    assert bob is carol
    (warning,) = carol.about("carol")
    assert warning.text.startswith("carol has acknowledged nothing")


def test_accounts_and_balances_stand_in_no_public_sentence():
    reports = (reported(), reported(SECOND, "4711"))
    view = ViewState(struck="`max_drawdown` 5% was reached: 4711 became 4000")
    found = judge(replace(BOB, reports=reports, **channel(view=view)), NOW).about("bob")
    assert [each.code for each in found] == ["two_accounts", "limit_struck"]
    for each in found:
        assert "4711" in each.text
        assert each.public
        assert "4711" not in each.public
        assert "bob" in each.public or "gold" in each.public


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0 s"), (119_999, "119 s"), (120_000, "2 min"), (7_200_000, "2 h"), (-5, "0 s"),
     (172_800_000, "2 days")],
)  # fmt: skip
def test_a_duration_is_one_number_with_its_unit(milliseconds, text):
    assert duration(milliseconds) == text


AGES = st.sampled_from([0, 999, 5_000, 12_000, 15_000, 60_000, 119_500, 7_200_000]) | st.integers(
    -5_000, 3 * 24 * HOUR
)
MOMENTS = AGES.map(lambda age: NOW - age)
MAYBE = st.none() | MOMENTS
STATES = st.builds(ProviderState, st.just("alice"), st.booleans(), MOMENTS, heard=MAYBE)
CHANNELS = st.builds(ChannelFacts, st.just("gold"), st.just(50), STATES)
REPORTS = st.builds(lambda time: (Reported(Report(), time),), MOMENTS) | st.just(())
FACTS = st.builds(
    FollowerFacts, st.just("bob"), CHANNELS, st.booleans(), MOMENTS, unsent=MAYBE, next=st.just(50),
    unacknowledged=MAYBE, heard=MAYBE, stalled=MAYBE, reports=REPORTS,
) | st.builds(
    ProviderFacts, st.just("alice"), CHANNELS, st.booleans(), MOMENTS, heard=MAYBE, reports=REPORTS
)  # fmt: skip


@given(FACTS, st.integers(0, 999), st.data())
def test_a_judgement_says_the_same_for_as_long_as_it_lasts(facts, later, data):
    when = NOW + later
    until = lasts(facts, when)
    assert until >= when
    then = data.draw(st.integers(when, min(until, when + 10 * 24 * HOUR)))
    assert judge(facts, then) == judge(facts, when)
    assert judge(facts, min(until, then + HOUR)) == judge(facts, when)


def test_a_judgement_of_somebody_who_is_well_lasts_until_a_sign_of_life_is_due():
    assert lasts(BOB, NOW) == NOW + 12_000
    alone = provider(heard=None)["channel"]
    away = replace(BOB, channel=alone, connected=False, since=NOW - 10 * MINUTE, heard=None)
    assert lasts(away, NOW) == NOW + MINUTE - 1  # "10 min" until then


def test_the_worst_status_counts():
    assert [*ORDER] == ["ok", "unknown", "warning", "error", "offline"]


def test_the_documents_have_the_table_of_the_code():
    text = (Path(__file__).parents[4] / "docs" / "status.md").read_text("utf-8")
    cells = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    shown = [tuple(cell.strip() for cell in row) for row in cells if row[0].strip().isdigit()]
    assert [(row[0], row[1], *row[3:]) for row in shown] == [
        (str(rule.priority), f"`{code}`", rule.follower or "–", rule.provider or "–")
        for code, rule in RULES.items()
    ]
