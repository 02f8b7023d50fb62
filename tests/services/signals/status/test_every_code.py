"""Every code of a warning is made by real sessions, and by experts where an expert can make it."""

import ast
from pathlib import Path

import pytest

from mtnet.services.signals.status.warnings import RULES

TESTS = Path(__file__).parents[3]
SESSIONS = {
    "switched_off": "test_a_follower_that_says_bye_was_switched_off",
    "frozen": "test_a_channel_that_is_paused_is_named",
    "diverged": "test_a_history_that_went_back_is_named",
    "damaged": "test_a_damaged_channel_is_an_error_of_all_who_take_part",
    "offline": "test_a_follower_that_is_gone_is_offline_by_name_and_behind",
    "blind": "test_a_follower_that_hangs_is_blind",
    "slow": "test_a_follower_that_takes_no_byte_is_slow",
    "trading_off": "test_algorithmic_trading_that_is_off_is_known_by_the_report",
    "wrong_volume": "test_a_close_that_was_not_made_is_a_wrong_volume",
    "refused": "test_what_it_could_not_carry_out_stays_over_its_reconnect",
    "not_acknowledged": "test_without_an_ack_for_15_seconds_it_says_so",
    "behind": "test_a_follower_whose_replay_stalls_is_behind",
    "no_provider": "test_nobody_has_published_in_a_channel_that_is_followed",
    "two_accounts": "test_two_accounts_that_report_as_one_are_seen",
    "limit_struck": "test_a_limit_of_a_view_is_a_warning_and_an_event",
    "waiting_for_report": "test_a_view_for_one_waits_for_a_report_and_is_exact",
    "fenced": "test_a_provider_from_which_the_channel_was_taken_is_fenced",
    "provider_switched_off": "test_a_provider_that_says_bye_was_switched_off",
    "paused": "test_a_channel_that_is_paused_is_named",
    "provider_offline": "test_a_provider_that_is_gone_is_told_to_its_followers_and_known_by_name",
    "provider_silent": "test_a_provider_that_hangs_is_silent",
    "provider_trading_off": "test_algorithmic_trading_that_is_off_is_known_by_the_report",
    "some_providers": "test_a_view_says_what_is_wrong_with_its_sources",
    "report_stale": "test_a_report_that_is_a_minute_old_says_so",
    "old_client": "test_an_old_expert_is_named",
    "other_volume": "test_nobody_knows_whether_a_follower_that_multiplies_is_well",
    "untold": "test_a_follower_that_has_not_told_what_it_holds_of_a_symbol_says_so",
    "unconfirmed": "test_a_classic_follower_is_shown_by_its_address",
}
"""A test of this folder by the code that it makes."""
CHANNEL = "test_each_situation_of_a_channel_has_a_status_that_says_why"
TERMINAL = "test_each_terminal_in_trouble_has_a_status_that_says_why"
VIEW = "test_each_situation_of_a_view_has_a_status_that_says_why"
HISTORY = "test_a_journal_that_went_back_or_is_damaged_is_an_error_of_the_follower"
HANGS = "test_a_follower_whose_terminal_hangs_is_blind_and_acknowledges_nothing"
NETWORK = "test_a_follower_behind_a_network_that_hangs_is_behind_until_it_goes_on"
EXPERTS = {
    **dict.fromkeys(("no_provider", "other_volume", "paused", "frozen"), CHANNEL),
    **dict.fromkeys(("provider_switched_off", "provider_offline"), CHANNEL),
    **dict.fromkeys(("offline", "switched_off", "trading_off", "wrong_volume"), TERMINAL),
    **dict.fromkeys(("refused", "provider_trading_off"), TERMINAL),
    **dict.fromkeys(("some_providers", "limit_struck"), VIEW),
    **dict.fromkeys(("diverged", "damaged"), HISTORY),
    **dict.fromkeys(("blind", "not_acknowledged"), HANGS),
    **dict.fromkeys(("slow", "behind"), NETWORK),
    "provider_silent": "test_a_provider_whose_terminal_hangs_is_silent",
}
"""A scenario of `tests/terminal` by the code that it makes."""
NO_EXPERTS = {
    "fenced": "an expert that lost its channel says so, and connects anew",
    "two_accounts": "the name of an expert is its account",
    "waiting_for_report": "an expert reports as soon as it is connected",
    "report_stale": "an expert that hangs for so long was closed by the heartbeat",
    "old_client": "the experts of this tree are the present ones",
    "untold": "an expert acknowledges each position that it was told",
    "unconfirmed": "an expert acknowledges and reports",
}
"""Why experts do not make the others."""


def quoting(folder):
    """Return the tests of a folder, each with the words that it quotes."""
    found = {}
    for file in folder.rglob("test_*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                texts = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
                found[node.name] = {each for each in texts if isinstance(each, str)}
    return found


QUOTED = quoting(Path(__file__).parent)
SCENARIOS = quoting(TESTS / "terminal")


@pytest.mark.parametrize("code", RULES)
def test_real_sessions_make_it(code):
    assert code in QUOTED[SESSIONS[code]]


@pytest.mark.parametrize("code", EXPERTS)
def test_experts_make_it(code):
    assert code in SCENARIOS[EXPERTS[code]]


def test_the_tables_name_every_code_once():
    assert SESSIONS.keys() == RULES.keys()
    assert sorted([*EXPERTS, *NO_EXPERTS]) == sorted(RULES)
