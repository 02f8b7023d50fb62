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
    "other_volume": "test_a_follower_that_multiplies_is_well_and_says_so",
    "unconfirmed": "test_a_classic_follower_is_shown_by_its_address",
}
"""A test of this folder by the code that it makes."""


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


@pytest.mark.parametrize("code", RULES)
def test_real_sessions_make_it(code):
    assert code in QUOTED[SESSIONS[code]]


def test_the_table_names_no_other_code():
    assert SESSIONS.keys() == RULES.keys()
