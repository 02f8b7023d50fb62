"""Experts in imitated terminals, a real daemon between them: defects that cost money once."""

from imitation.waiting import until


def test_a_trade_is_copied_and_closed(scene):
    provider, follower = scene.provider(), scene.follower()
    provider.say("set EURUSD 0.5", "set GBPUSD -1.25")
    until(lambda: follower.holds(EURUSD=0.5, GBPUSD=-1.25))
    provider.say("set EURUSD 0", "set GBPUSD 0.1")
    until(lambda: follower.holds(GBPUSD=0.1))
