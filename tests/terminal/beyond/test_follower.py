"""The follower's expert: what an account holds after hands, stops, orders and losses."""

import time

import pytest
from imitation.script import Script
from imitation.waiting import FASTER, stays, until

HEDGING = pytest.mark.parametrize("hedging", [0, 1], ids=["netting", "hedging"])


AGE = 10
"""Seconds, of the time of day, that an opening is copied; also on a machine that is busy."""
BY_TICKET = {"HEDGING": 1, "InpForm": 1}


@pytest.fixture
def script(scene):
    """A publisher of the scene's channel."""
    return Script(scene.server, scene.channel)


def orders_of(terminal):
    """The pending orders of an account: symbol, lots and price."""
    found = terminal.state()["orders"]
    return sorted((each["symbol"], each["lots"], each["price"]) for each in found)


@HEDGING
def test_a_position_that_turns_is_copied(scene, hedging):
    provider, follower = scene.provider(), scene.follower(HEDGING=hedging)
    provider.say("set EURUSD 0.5")
    until(lambda: follower.holds(EURUSD=0.5))
    provider.say("set EURUSD -0.3")
    until(lambda: follower.holds(EURUSD=-0.3))
    provider.say("set EURUSD 0")
    until(lambda: follower.holds())


@HEDGING
def test_a_position_closed_by_hand_stays_closed_until_the_provider_is_flat(scene, script, hedging):
    follower = scene.follower(HEDGING=hedging)
    script.publish("EURUSD", "0.3")
    until(lambda: follower.holds(EURUSD=0.3))
    follower.say("close EURUSD")
    until(lambda: follower.mentions("released", "closed here"))
    script.publish("EURUSD", "0.4")
    stays(lambda: follower.holds(), 5)
    follower.kill()
    follower.start()
    stays(lambda: follower.holds(), 20)
    script.publish("EURUSD", "0")
    script.publish("EURUSD", "0.2")
    until(lambda: follower.holds(EURUSD=0.2))


@HEDGING
def test_a_part_closed_by_hand_is_not_bought_again(scene, script, hedging):
    follower = scene.follower(HEDGING=hedging)
    script.publish("EURUSD", "0.3")
    until(lambda: follower.holds(EURUSD=0.3))
    follower.say("close EURUSD 0.1")
    stays(lambda: not follower.holds(EURUSD=0.3), 5)
    script.publish("EURUSD", "0.4")
    until(lambda: follower.holds(EURUSD=0.3))
    script.publish("EURUSD", "0.1")
    until(lambda: follower.holds(EURUSD=0.1))


def test_tickets_are_copied_with_their_stops_and_closed_one_by_one(scene, script):
    follower = scene.follower(HEDGING=1)
    script.publish("EURUSD", "0.1", ticket="71", sl="1.05", price="1.1")
    script.publish("EURUSD", "-0.2", ticket="72", tp="1.05", price="1.1")
    until(lambda: follower.holds(EURUSD=-0.1))
    script.publish("EURUSD", "0.1", ticket="71", sl="1.06", price="1.1")
    until(lambda: sorted(p["sl"] for p in follower.state()["positions"]) == [0, 1.06])
    script.publish("EURUSD", "0", ticket="72")
    until(lambda: follower.holds(EURUSD=0.1))
    follower.say("price EURUSD 1.055")
    until(lambda: follower.holds())
    stays(lambda: follower.holds(), 10)


@HEDGING
def test_an_order_filled_here_first_is_kept_and_not_bought_twice(scene, script, hedging):
    follower = scene.follower(HEDGING=hedging)
    script.publish("EURUSD", "0.1", ticket="80", type="buy_limit", price="1.05")
    until(lambda: orders_of(follower) == [("EURUSD", 0.1, 1.05)])
    script.publish("EURUSD", "0.1", ticket="80", type="buy_limit", price="1.06", sl="1.01")
    until(lambda: orders_of(follower) == [("EURUSD", 0.1, 1.06)])
    follower.say("price EURUSD 1.055")
    until(lambda: follower.holds(EURUSD=0.1))
    follower.kill()
    follower.start()
    stays(lambda: follower.holds(EURUSD=0.1), 15)
    script.publish("EURUSD", "0.1", ticket="80", price="1.06", sl="1.01")
    stays(lambda: follower.holds(EURUSD=0.1), 5)
    script.publish("EURUSD", "0", ticket="80")
    until(lambda: follower.holds())
    assert len(follower.deals) == 2


@HEDGING
def test_an_order_that_only_the_provider_filled_is_replaced_by_a_position(scene, script, hedging):
    follower = scene.follower(HEDGING=hedging)
    script.publish("EURUSD", "0.1", ticket="81", type="buy_stop", price="1.2")
    until(lambda: orders_of(follower) == [("EURUSD", 0.1, 1.2)])
    script.publish("EURUSD", "0.1", ticket="81", price="1.2")
    until(lambda: follower.holds(EURUSD=0.1) and orders_of(follower) == [])


def test_orders_survive_a_restart_and_one_removed_by_hand_is_not_placed_again(scene, script):
    follower = scene.follower()
    script.publish("EURUSD", "-0.1", ticket="82", type="sell_limit", price="1.2")
    script.publish("GBPUSD", "0.1", ticket="83", type="buy_limit", price="1.2")
    both = [("EURUSD", 0.1, 1.2), ("GBPUSD", 0.1, 1.2)]
    until(lambda: orders_of(follower) == both)
    follower.kill()
    follower.start()
    stays(lambda: orders_of(follower) == both, 15)
    ticket = follower.state()["orders"][0]["ticket"]
    follower.say(f"delete #{ticket}")
    until(lambda: follower.mentions("released", "removed here"))
    stays(lambda: len(orders_of(follower)) == 1, 5)


def test_openings_that_are_old_or_far_away_are_released(scene, script):
    script.publish("EURUSD", "0.1", price="1.1")
    script.publish("GBPUSD", "0.1", price="1.35")
    script.publish("USDCHF", "0.1", price="0.9")
    time.sleep(AGE + 1)
    follower = scene.follower(InpMaxSlippage=50, InpMaxAge=AGE)
    until(lambda: follower.mentions("EURUSD", "released", "it was opened"))
    stays(lambda: follower.holds(), 10)
    script.publish("EURUSD", "0")
    script.publish("EURUSD", "0.2", price="1.1")
    until(lambda: follower.holds(EURUSD=0.2))
    script.publish("USDJPY", "0.2", price="155")
    until(lambda: follower.mentions("USDJPY", "released", "the price is"))


def test_a_view_s_limits_of_age_and_slippage_are_the_follower_s(scene_at):
    scene = scene_at(
        "signals.views.half.sources=source",
        "signals.views.half.value=0.5",
        f"signals.views.half.max_age={AGE}",
        "signals.views.half.max_slippage=0.01",
        "signals.views.half.late_join=open",
    )
    script = Script(scene.server, "source")
    script.publish("EURUSD", "0.2", price="1.1")
    script.publish("GBPUSD", "0.2", price="1.35")
    time.sleep(AGE + 1)
    follower = scene.follower(InpChannel="half")
    until(lambda: follower.mentions("EURUSD", "released", "it was opened"))
    stays(lambda: follower.holds(), 10)
    script.publish("EURUSD", "0")
    script.publish("EURUSD", "0.4", price="1.1")
    until(lambda: follower.holds(EURUSD=0.2))
    script.publish("USDJPY", "0.2", price="155")
    until(lambda: follower.mentions("USDJPY", "released", "the price is"))
    follower.say("close EURUSD")
    until(lambda: follower.mentions("EURUSD", "released", "closed here"))
    script.publish("EURUSD", "0.6", price="1.1")
    stays(lambda: follower.holds(), 10)


def test_a_stop_limit_order_waits_until_it_is_a_position(scene):
    provider, follower = scene.provider(**BY_TICKET), scene.follower(HEDGING=1)
    provider.say("pending buy_stop_limit EURUSD 0.2 1.15 0 0 0 1.14", "buy GBPUSD 0.1")
    until(lambda: follower.mentions("EURUSD", "two prices"))
    until(lambda: follower.holds(GBPUSD=0.1))
    assert orders_of(follower) == []
    assert len(follower.alerts) == 0
    provider.say("price EURUSD 1.16 1.1601", "price EURUSD 1.13 1.1301")
    until(lambda: provider.holds(EURUSD=0.2, GBPUSD=0.1))
    until(lambda: follower.holds(EURUSD=0.2, GBPUSD=0.1))


def test_another_journal_closes_nothing_until_a_person_accepts_it(scene_at):
    scene = scene_at()
    script, follower = Script(scene.server, "main"), scene.follower()
    script.publish("EURUSD", "0.3")
    until(lambda: follower.holds(EURUSD=0.3))
    scene.server.kill()
    scene.server.data = scene.server.folder / "other"
    scene.server.start()
    script.publish("GBPUSD", "0.1")
    until(lambda: follower.mentions("another journal"))
    stays(lambda: follower.holds(EURUSD=0.3), 10)
    told = next(each for each in follower.alerts if "another journal" in each)
    follower.say(f"inputs InpAcceptEpoch={told.rpartition(' ')[2]}")
    until(lambda: follower.holds(GBPUSD=0.1))


def test_a_follower_that_is_blind_too_long_closes_everything_if_it_is_told_to(scene_at):
    scene = scene_at(f"signals.heartbeat={5 / FASTER}")
    script = Script(scene.server, "main")
    follower = scene.follower(InpBlindMinutes=3, SPEED=FASTER)
    script.publish("EURUSD", "0.3", ticket="4")
    until(lambda: follower.holds(EURUSD=0.3))
    scene.server.kill()
    stays(lambda: follower.holds(EURUSD=0.3), 60, FASTER)
    until(lambda: follower.holds())
    scene.server.start()
    stays(lambda: follower.holds(), 20, FASTER)
    script.publish("EURUSD", "0", ticket="4")
    script.publish("EURUSD", "0.2", ticket="5")
    until(lambda: follower.holds(EURUSD=0.2))


def test_the_second_host_is_tried_when_the_first_does_not_answer(scene, script):
    port = scene.server.port
    follower = scene.follower(InpHost=f"127.0.0.1:1,127.0.0.1:{port}", InpPort=1)
    script.publish("EURUSD", "0.3")
    until(lambda: follower.holds(EURUSD=0.3))


@HEDGING
def test_followers_of_two_channels_leave_each_other_alone_under_one_magic_number(
    scene, script, hedging
):
    other = Script(scene.server, f"{scene.channel}b")
    script.publish("EURUSD", "0.3")
    other.publish("EURUSD", "-0.1")
    follower = scene.follower(HEDGING=hedging)
    until(lambda: follower.holds(EURUSD=0.3))
    second = scene.follower("second", HEDGING=hedging, InpChannel=other.channel)
    both = 0.2 if hedging else 0.3
    until(lambda: second.mentions("EURUSD", "holds -0.1" if hedging else "not opened by this"))
    stays(lambda: follower.holds(EURUSD=both), 10)
    script.publish("EURUSD", "0")
    until(lambda: second.holds(EURUSD=-0.1))


@pytest.mark.parametrize("loss", ["lag 4000", "history_lag 6000", "lag 3000\nhistory_lag 3000"])
def test_deals_and_a_history_that_lag_double_nothing(scene, script, loss):
    follower = scene.follower(HEDGING=1)
    follower.say(*loss.splitlines())
    for lots in ("0.3", "0.1", "-0.1", "0"):
        script.publish("EURUSD", lots)
        until(lambda lots=lots: follower.holds(**({"EURUSD": lots} if lots != "0" else {})))
    assert follower.sent == 5  # the change of side is a closing and an opening
