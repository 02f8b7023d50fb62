"""Experts and a real daemon: what a follower copies, and what people do to a channel."""

import time

import pytest
from imitation.scene import FOLLOWER
from imitation.waiting import stays, until

ASKED_FOR = 12
"""Seconds of a follower's asking for a channel; then it asks each 4 to 16 s, at random."""
AT_ONCE = 6
"""Seconds: less than four followers wait by chance, more than a machine needs that is busy."""
LEAST_LOTS = 0.1


def test_a_trade_is_copied_and_closed(scene):
    provider, follower = scene.provider(), scene.follower()
    provider.say("set EURUSD 0.5", "set GBPUSD -1.25")
    until(lambda: follower.holds(EURUSD=0.5, GBPUSD=-1.25))
    provider.say("set EURUSD 0", "set GBPUSD 0.1")
    until(lambda: follower.holds(GBPUSD=0.1))


def test_an_opening_refused_during_a_pause_is_sent_again_after_resume(scene):
    provider, follower = scene.provider(), scene.follower()
    provider.say("set EURUSD 0.5")
    scene.settle(provider, follower)
    scene.command("pause")
    provider.say("set EURUSD 0", "set GBPUSD 1")
    until(lambda: follower.holds())
    stays(lambda: follower.holds(), 5)
    scene.command("resume")
    until(lambda: follower.holds(GBPUSD=1))


def test_a_close_refused_while_frozen_is_sent_again_after_resume(scene):
    provider, follower = scene.provider(), scene.follower()
    provider.say("set EURUSD 0.5")
    scene.settle(provider, follower)
    scene.command("freeze")
    provider.say("set EURUSD 0")
    stays(lambda: follower.holds(EURUSD=0.5), 5)
    scene.command("resume")
    until(lambda: follower.holds())


def test_the_provider_publishes_again_after_flatten_and_resume(scene):
    provider, follower = scene.provider(), scene.follower()
    provider.say("set EURUSD 0.5")
    scene.settle(provider, follower)
    scene.command("flatten")
    until(lambda: follower.holds())
    scene.command("resume")
    until(lambda: scene.published(EURUSD="0.5"))
    until(lambda: follower.holds(EURUSD=0.5))


def test_a_difference_below_the_least_volume_is_said_and_not_ordered_for_ever(scene):
    provider, follower = scene.provider(), scene.follower()
    follower.say(f"symbol EURUSD least {LEAST_LOTS}", f"symbol EURUSD step {LEAST_LOTS}")
    provider.say("set EURUSD 0.04")
    until(lambda: follower.mentions("EURUSD", "smallest volume"))
    stays(lambda: follower.sent == 0, 15)
    provider.say("set EURUSD 0.14")
    until(lambda: follower.holds(EURUSD=0.1))
    stays(lambda: follower.sent == 1, 15)


def test_a_follower_acknowledges_what_it_really_holds(scene):
    provider, follower = scene.provider(), scene.follower(InpMaxLots=0.3)
    provider.say("set EURUSD 1")
    until(lambda: follower.holds(EURUSD=0.3))
    until(lambda: scene.acknowledged("EURUSD") == ["0.3"])


def test_the_first_signal_of_a_new_channel_is_copied_at_once(scene):
    followers = [
        scene.follower(f"follower{number}", LOGIN=FOLLOWER + number, SPEED=1) for number in range(4)
    ]
    time.sleep(ASKED_FOR)
    provider = scene.provider()
    provider.say("set EURUSD 0.5")
    until(lambda: scene.published(EURUSD="0.5"))
    until(lambda: scene.copies(provider, *followers), AT_ONCE)


@pytest.mark.parametrize("setting", [{"InpChannel": "no such"}, {"InpSymbols": "EUR|USD"}])
def test_a_wrong_channel_or_filter_is_an_alert(scene, setting):
    follower = scene.terminal("MtnetFollower", "follower", InpTrade="true", **setting).start()
    until(lambda: follower.alerts)
    assert len(follower.alerts) == 1


def test_a_filter_longer_than_a_frame_is_split(scene):
    symbols = ",".join(["EURUSD", *(f"SYMBOL{number:04}" for number in range(200)), "GBPUSD"])
    provider, follower = scene.provider(), scene.follower(InpSymbols=symbols)
    provider.say("set EURUSD 0.5", "set GBPUSD 1", "set USDJPY 1")
    until(lambda: follower.holds(EURUSD=0.5, GBPUSD=1))
    provider.say("set GBPUSD 0")
    until(lambda: follower.holds(EURUSD=0.5))


def test_an_account_that_publishes_and_follows_a_channel_does_not_feed_itself(scene):
    provider = scene.provider(folder="one")
    follower = scene.follower(folder="one", LOGIN=1001)
    provider.say("set EURUSD 0.5")
    until(lambda: scene.published(EURUSD="0.5"))
    stays(lambda: provider.holds(EURUSD=0.5), 15)
    assert follower.mentions("own") or follower.mentions("same")


def test_one_of_two_terminals_on_an_account_works_and_the_other_says_so(scene):
    provider = scene.provider()
    followers = [scene.follower(folder=f"follower{number}") for number in (1, 2)]
    provider.say("set EURUSD 0.5")
    until(lambda: followers[0].holds(EURUSD=0.5))
    until(lambda: followers[1].mentions("another"))
    stays(lambda: followers[1].holds(EURUSD=0.5), 10)
    followers[0].quit()
    provider.say("set EURUSD 0.7")
    until(lambda: followers[1].holds(EURUSD=0.7))


def test_symbols_of_a_broker_with_a_suffix_are_found(scene):
    provider, follower = scene.provider(), scene.follower(SUFFIX=".r", InpSuffix=".r")
    provider.say("set EURUSD 0.5")
    until(lambda: follower.net() == {"EURUSD.r": provider.net()["EURUSD"]})
