"""Experts and a real daemon: what happens between them."""

from imitation.terminal import Terminal
from imitation.waiting import sleep, stays, until

BY_TICKET = {"HEDGING": 1, "InpForm": 1}


def test_a_server_that_was_killed_loses_nothing_and_repeats_nothing(scene_at):
    scene = scene_at()
    provider, follower = scene.provider(), scene.follower()
    provider.say("set EURUSD 0.5", "set GBPUSD -0.2")
    scene.settle(provider, follower)
    scene.server.kill()
    provider.say("set EURUSD 0.7", "set GBPUSD 0")
    scene.server.start()
    until(lambda: follower.holds(EURUSD=0.7))
    assert len(follower.deals) == 4


def test_a_network_that_hangs_is_left_and_found_again(scene):
    link = scene.link()
    provider, follower = scene.provider(), scene.follower(InpPort=link.port)
    provider.say("set EURUSD 0.5")
    scene.settle(provider, follower)
    link.hung = True
    provider.say("set EURUSD 0")
    stays(lambda: follower.holds(EURUSD=0.5), 25)
    link.hung = False
    until(lambda: follower.holds())
    link.cut = True
    provider.say("set EURUSD 0.1")
    sleep(20)
    link.cut = False
    until(lambda: follower.holds(EURUSD=0.1))


def test_tickets_with_stops_and_pending_orders_are_copied(scene):
    provider, follower = scene.provider(**BY_TICKET), scene.follower(HEDGING=1)
    provider.say("buy EURUSD 0.3 1.05 1.2", "sell EURUSD 0.1", "pending buy_limit GBPUSD 0.2 1.25")
    until(lambda: tickets(follower) == [("EURUSD", -0.1, 0, 0), ("EURUSD", 0.3, 1.05, 1.2)])
    until(lambda: orders(follower) == [("GBPUSD", 2, 0.2, 1.25)])
    first = provider.state()["positions"][0]["ticket"]
    provider.say(f"modify #{first} 1.06 1.2", f"close #{first} 0.1")
    until(lambda: tickets(follower) == [("EURUSD", -0.1, 0, 0), ("EURUSD", 0.2, 1.06, 1.2)])
    provider.say(f"delete #{provider.state()['orders'][0]['ticket']}", "close EURUSD")
    until(lambda: (tickets(follower), orders(follower)) == ([], []))


def tickets(terminal: Terminal):
    positions = terminal.state()["positions"]
    return sorted((each["symbol"], each["lots"], each["sl"], each["tp"]) for each in positions)


def orders(terminal: Terminal):
    found = terminal.state()["orders"]
    return sorted((each["symbol"], each["type"], each["lots"], each["price"]) for each in found)
