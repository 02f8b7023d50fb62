"""Experts and a real daemon: brokers that are late, closed, gone or silent about an order."""

from collections import Counter

from imitation.scene import FOLLOWER, PROVIDER
from imitation.waiting import FASTER, PATIENCE, sleep, stays, until, within

LATE = [3, 12, 30]
"""Seconds until a terminal that starts shows its positions."""
MEAN_MS, MANY = 10, 1000
"""Milliseconds of CPU; the longest timer depends on what else the machine does, and is no test."""
REFUSED_AN_HOUR = 6
MORE = 300
"""Positions; the expert looks up 50 of them after one count."""
TICKETS = 1
"""The value of InpForm."""
FASTEST = 180
"""The speed at which an hour lasts 20 s."""


def test_positions_that_load_late_flatten_nobody_and_are_bought_once(scene):
    pairs = [pair(scene, seconds, InpChannel=f"{scene.channel}-{seconds}") for seconds in LATE]
    for provider, follower in pairs:
        provider.say("set EURUSD 0.5", "set GBPUSD -0.3")
        scene.settle(provider, follower)
    for seconds, terminals in zip(LATE, pairs, strict=True):
        for each in terminals:
            each.kill()
            each.start(SYNC_MS=seconds * 1000, LOADS_EVERY_MS=300)
    stays(lambda: all(each.holds(EURUSD=0.5, GBPUSD=-0.3) for _, each in pairs), max(LATE) + 12)
    for provider, follower in pairs:
        provider.say("set GBPUSD 0")
        until(lambda follower=follower: follower.holds(EURUSD=0.5))
        assert len(follower.deals) == 3


def pair(scene, number, **inputs):
    """Return a provider and a follower with accounts and folders of this number."""
    provider = scene.provider(f"provider{number}", LOGIN=PROVIDER + number, **inputs)
    return provider, scene.follower(f"follower{number}", LOGIN=FOLLOWER + number, **inputs)


def test_a_provider_that_lacks_more_positions_than_it_looks_up_waits_for_all(scene_at):
    scene = scene_at(f"signals.heartbeat={5 / FASTER}")
    provider = scene.provider(SPEED=FASTER, HEDGING=1, InpForm=TICKETS)
    provider.say(*["buy EURUSD 0.01"] * MORE)
    until(lambda: scene.seq == MORE)
    provider.quit()
    provider.start(LOADS_EVERY_MS=10_000)  # nothing is concluded of an account without positions
    stays(lambda: scene.seq == MORE, 200, FASTER)  # two minutes are enough to believe a count


def test_another_account_logged_in_and_back_doubles_nothing(scene):
    provider, follower = scene.provider(), scene.follower()
    provider.say("set EURUSD 0.5")
    scene.settle(provider, follower)
    follower.say("login 3001 2000")
    sleep(15)
    follower.say(f"login {FOLLOWER} 2000")
    stays(lambda: follower.state()["login"] != FOLLOWER or follower.holds(EURUSD=0.5), 15)
    provider.say("set EURUSD 0.6")
    until(lambda: follower.holds(EURUSD=0.6))
    assert len(follower.deals) == 2


def test_another_account_of_the_provider_flattens_nobody(scene):
    provider, follower = scene.provider(), scene.follower()
    provider.say("set EURUSD 0.5")
    scene.settle(provider, follower)
    provider.say("login 3001 2000")
    sleep(5)
    provider.say(f"login {PROVIDER} 12000")
    stays(lambda: follower.holds(EURUSD=0.5), 25)
    provider.say("set EURUSD 0.6")
    until(lambda: follower.holds(EURUSD=0.6))


def test_an_order_whose_end_is_unknown_for_20_seconds_is_never_sent_twice(scene):
    provider = scene.provider()
    followers = {
        fault: scene.follower(fault, LOGIN=FOLLOWER + number)
        for number, fault in enumerate(["timeout", "placed"])
    }
    provider.say("set GBPUSD 0.1")
    scene.settle(provider, *followers.values())
    for fault, each in followers.items():
        each.say(f"fault {fault} 20000 1 EURUSD", "measure")
    provider.say("set EURUSD 0.5")
    for each in followers.values():
        until(lambda each=each: each.sent == 1)
    stays(lambda: all(each.sent == 1 for each in followers.values()), 18)
    scene.settle(provider, *followers.values())
    stays(lambda: scene.copies(provider, *followers.values()), 15)
    assert [each.sent for each in followers.values()] == [1, 1]


def test_an_order_that_was_lost_is_sent_again(scene_at):
    scene = scene_at(f"signals.heartbeat={5 / FASTER}")
    provider, follower = scene.provider(SPEED=FASTER), scene.follower(SPEED=FASTER)
    follower.say("fault lost 0 1 EURUSD")
    provider.say("set EURUSD 0.5")
    until(lambda: follower.holds(EURUSD=0.5), 40)


def test_inputs_or_period_changed_with_an_order_on_its_way_buy_once(scene):
    provider = scene.provider()
    changes = ["inputs InpDeviation=30", "period"]
    followers = [scene.follower(f"follower{n}", LOGIN=FOLLOWER + n) for n in range(len(changes))]
    for each in followers:
        each.say("fault placed 5000 1 EURUSD")
    provider.say("set EURUSD 0.5")
    for each, change in zip(followers, changes, strict=True):
        until(lambda each=each: each.sent == 1)
        each.say(change)
    scene.settle(provider, *followers)
    stays(lambda: scene.copies(provider, *followers), 20)
    assert [len(each.deals) for each in followers] == [1, 1]


def test_a_position_that_closes_while_positions_are_counted_is_no_false_entry(scene):
    provider, follower = scene.provider(), scene.follower()
    provider.say("set EURUSD 0.5", "set USDJPY 0.7")
    for look in (1, 2, 3, 5):
        provider.say("set GBPUSD 0.1")
        scene.settle(provider, follower)
        provider.say(f"reads {look} close GBPUSD")
        until(lambda: "GBPUSD" not in provider.net())
        scene.settle(provider, follower)
    deals = Counter(deal["symbol"] for deal in follower.deals)
    assert deals == {"EURUSD": 1, "USDJPY": 1, "GBPUSD": 8}


def test_a_closed_market_is_asked_at_most_six_times_an_hour(scene_at):
    scene = scene_at(f"signals.heartbeat={5 / FASTEST}")
    provider, follower = scene.provider(), scene.follower(SPEED=FASTEST, TIMER_LEAST=200)
    follower.say("symbol EURUSD open 0")
    provider.say("set EURUSD 0.5", "set GBPUSD 0.1")
    until(lambda: follower.holds(GBPUSD=0.1))
    within(lambda: False, 3600 / FASTEST)
    assert 1 <= follower.state()["refused"]["EURUSD"] <= REFUSED_AN_HOUR
    follower.say("symbol EURUSD open 1")
    until(lambda: follower.holds(EURUSD=0.5, GBPUSD=0.1))


def test_a_broker_that_comes_and_goes_is_said_and_traded_with_when_it_can(scene):
    provider, follower = scene.provider(), scene.follower()
    until(lambda: follower.state()["timers"] > 60)
    follower.say("connected 0")
    provider.say("set EURUSD 0.5")
    for _ in range(4):
        sleep(4)
        follower.say("connected 1")
        sleep(3)
        follower.say("connected 0")
    follower.say("connected 1")
    until(lambda: follower.holds(EURUSD=0.5))
    assert follower.mentions("broker")


def test_a_program_killed_before_it_wrote_its_state_goes_on(scene):
    provider, follower = scene.provider(), scene.follower()
    provider.say("set GBPUSD 0.1")
    scene.settle(provider, follower)
    follower.say("fault die 0 1 EURUSD")
    provider.say("set EURUSD 0.5")
    until(lambda: follower.ended)
    follower.start()
    stays(lambda: follower.holds(EURUSD=0.5, GBPUSD=0.1), 25)
    provider.say("set EURUSD 0.6")
    until(lambda: follower.holds(EURUSD=0.6, GBPUSD=0.1))


def test_a_timer_of_a_thousand_symbols_costs_little_on_average(scene):
    names = [f"S{number:03}" for number in range(MANY)]
    symbols = {"SYMBOLS": " ".join(f"{name} 1.1" for name in names), "CHART": "S000"}
    limits = {"InpOrdersMinute": 0}
    provider, follower = scene.provider(**symbols), scene.follower(**symbols, **limits)
    provider.say(*(f"set {name} 0.1" for name in names))
    until(lambda: len(follower.net()) == MANY, 4 * PATIENCE)
    for each in (provider, follower):
        each.say("measure")
    provider.say(*(f"set {name} 0.2" for name in names[:10]))
    scene.settle(provider, follower)
    sleep(30)
    provider.say(*(f"set {name} 0" for name in names))
    until(lambda: scene.published() and follower.holds(), 4 * PATIENCE)
    for each in (provider.state(), follower.state()):
        assert each["computed"] / each["timers"] < MEAN_MS
