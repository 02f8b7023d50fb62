"""Who holds a channel or a symbol, who is fenced for how long, and who is heard again."""

import pytest
from signals_peers import Server, gone, told

from mtnet.services.signals.ownership.ownership import KEPT
from mtnet.services.signals.ownership.pauses import Pauses
from mtnet.services.signals.ownership.publishers import LINGER
from mtnet.services.signals.status.report import Status
from mtnet.services.signals.wire import requests
from mtnet.session import messages

FENCED = "ERROR|code=fenced|channel=main"
UP, DOWN = "STATUS|channel=main|publisher=up", "STATUS|channel=main|publisher=down"


class Harness(Server):
    def named(self, name, host="127.0.0.1"):
        terminal = self.dial(peer=host)
        terminal.send(messages.hello(name=name))
        terminal.received()
        return terminal


@pytest.fixture
def serve(tmp_path, clock):
    return lambda *sets, **more: Harness(tmp_path / "data", clock, *sets, **more)


@pytest.fixture
def server(serve):
    return serve()


COUNT = iter(range(10**6))


def take(server, terminal, how=None, volume="1"):
    """Publish; return the code of a refusal, or `stored`."""
    identity = f"t{next(COUNT)}"
    server.publish(terminal, identity, volume, **({} if how is None else {"take": how}))
    (answer,) = [each for each in told(terminal) if f"id={identity}" in each]
    return dict(part.split("=") for part in answer.split("|")[1:]).get("code", "stored")


# take


def test_free_takes_a_channel_that_nobody_holds(server):
    first, second = server.named("a"), server.named("b")
    assert take(server, first, "free") == "stored"
    assert take(server, second, "free") == "fenced"
    assert take(server, first, "free") == "stored"
    assert told(first) == []


def test_free_takes_a_channel_from_the_same_login_and_name(server):
    old, new = server.named("a"), server.named("a")
    take(server, old, "free")
    assert take(server, new, "free") == "stored"
    assert told(old) == [FENCED]
    assert take(server, old, "free") == "fenced"
    assert take(server, server.named("a"), "free") == "stored"


@pytest.mark.parametrize("how", ["1", None])
def test_a_fenced_publisher_stays_fenced_with_take_free_until_it_takes(serve, how):
    server = serve()
    old, new = server.named("a"), server.named("b")
    take(server, old, "free")
    assert take(server, new, how) == "stored"
    assert told(old) == [FENCED]
    for each in (old, new):
        each.send(messages.bye())
        each.hang_up()
    assert take(server, server.named("a"), "free") == "fenced"
    again = serve()
    assert take(again, again.named("a"), "free") == "fenced"
    assert take(again, again.named("c"), "free") == "stored"
    assert take(again, again.named("a"), "free") == "fenced"
    back = again.named("a")
    assert take(again, back, how) == "stored"
    back.send(messages.bye())
    assert take(again, again.named("a"), "free") == "stored"
    assert take(again, again.named("c"), "free") == "fenced"


def test_a_publisher_refused_with_take_free_stays_fenced_on_a_free_channel(server):
    first, second = server.named("a"), server.named("b")
    take(server, first, "free")
    assert take(server, second, "free") == "fenced"
    first.send(messages.bye())
    assert take(server, second, "free") == "fenced"
    assert take(server, server.named("c"), "free") == "stored"


def test_an_old_publisher_that_was_away_never_comes_back_by_itself(server):
    old, new = server.named("a"), server.named("b")
    take(server, old, "free")
    old.hang_up()
    assert take(server, new, "free") == "stored"
    new.send(messages.bye())
    assert take(server, server.named("a"), "free") == "fenced"


def test_fences_of_one_commit_are_kept_in_the_order_of_its_drafts(server):
    first, second = server.named("a"), server.named("b")
    server.disk.held = True
    server.publish(first, "x", symbol="X")
    for identity, terminal, how in (("1", first, "free"), ("2", second, "1"), ("3", first, "1")):
        server.publish(terminal, identity, take=how)
    server.disk.work()
    assert [each for each in told(first) if "ERROR" in each] == [
        FENCED,
        "ERROR|code=fenced|id=3|channel=main",
    ]
    server.disk.held = False
    assert take(server, server.named("a"), "free") == "fenced"
    assert take(server, second, "free") == "stored"


def test_a_publisher_for_once_takes_nothing_over_and_is_no_provider(server):
    holder, once, follower = server.named("a"), server.named("b"), server.subscribe()
    assert take(server, once, "0") == "stored"
    assert [each for each in told(follower) if "STATUS" in each] == [DOWN]
    take(server, holder, "free")
    assert take(server, once, "0", "2") == "stored"
    assert told(holder) == []
    once.hang_up()
    assert take(server, holder, "free", "3") == "stored"
    assert [each for each in told(follower) if "STATUS" in each] == [UP]
    assert Status(server.signals).status()["channels"]["main"]["publishers"] == ["a"]


def test_a_publisher_for_once_holds_no_channel_against_classic_frames(server):
    master, once = server.dial(), server.named("b")
    take(server, once, "0")
    master.send(b"<<GBPUSD|3>>")
    assert server.signals.positions("main")["GBPUSD"].volume == 3


def test_take_is_no_part_of_what_an_id_names(server):
    publisher = server.greet()
    for how in ("0", "free", "1"):
        server.publish(publisher, "a", take=how)
    assert told(publisher) == ["STORED|id=a|seq=1"] * 3
    server.publish(server.greet(), "b", take="free")
    assert len(server.entries()) == 2


@pytest.mark.parametrize("how", ["free", "1", None])
def test_what_a_rail_refuses_takes_nothing_over(serve, how):
    server = serve("signals.channels.main.max_volume=1")
    old, new = server.named("a"), server.named("b")
    take(server, old, "free")
    assert take(server, new, how, "2") == ("fenced" if how == "free" else "field")
    assert told(old) == []
    assert take(server, old, "free") == "stored"


def test_the_oldest_of_very_many_fences_are_forgotten(serve, monkeypatch):
    monkeypatch.setattr("mtnet.services.signals.ownership.policy_store.FENCED", 2)
    server = serve()
    take(server, server.named("holder"), "free")
    for name in "abc":
        assert take(server, server.named(name), "free") == "fenced"
    assert [who.name for who in server.signals.rules.store.fenced["main"]] == ["b", "c"]


# A publisher of dialect 2 that is gone


def test_a_publisher_that_is_gone_without_bye_holds_its_channel_for_a_while(server, clock):
    master, publisher = server.dial(), server.greet()
    take(server, publisher)
    publisher.hang_up()
    master.send(b"<<GBPUSD|3>>")
    clock.advance(LINGER - 1)
    assert server.signals.positions("main")["GBPUSD"].volume == 1
    assert not master.closed
    clock.advance(1)
    assert server.signals.positions("main")["GBPUSD"].volume == 3
    assert master.closed


def test_one_that_comes_back_in_time_holds_it_on(server, clock):
    take(server, gone_after(server))
    publisher = server.greet()
    take(server, publisher)
    clock.advance(2 * LINGER)
    server.dial().send(b"<<GBPUSD|3>>")
    assert server.signals.positions("main")["GBPUSD"].volume == 1


def test_a_publisher_for_once_leaves_a_channel_to_one_that_is_gone_for_a_while(server, clock):
    holder, once, master = server.named("a"), server.named("b"), server.dial()
    take(server, holder, "free")
    holder.hang_up()
    assert take(server, once, "0", "2") == "stored"
    once.send(messages.bye())
    master.send(b"<<GBPUSD|3>>")
    assert server.signals.positions("main")["GBPUSD"].volume == 2
    assert take(server, server.named("a"), "free", "2") == "stored"
    clock.advance(LINGER)
    assert server.signals.positions("main")["GBPUSD"].volume == 2


def gone_after(server):
    publisher = server.greet()
    take(server, publisher)
    publisher.hang_up()
    return server.greet()


@pytest.mark.parametrize("bye", [False, True])
def test_one_that_is_gone_before_its_signal_is_stored_holds_the_channel_by_it(server, clock, bye):
    take(server, gone_after(server))
    publisher, master = server.greet(), server.dial()
    server.disk.held = True
    server.publish(publisher, "brief", "2")
    if bye:
        publisher.send(messages.bye())
        publisher.hang_up()
    else:
        clock.advance(5)
        publisher.hang_up()
    server.disk.work()
    server.disk.held = False
    master.send(b"<<GBPUSD|3>>")
    assert server.signals.positions("main")["GBPUSD"].volume == (3 if bye else 2)
    clock.advance(LINGER)
    assert server.signals.positions("main")["GBPUSD"].volume == 3


def restarted(serve, server):
    """Start a daemon anew that was killed."""
    server.journal.close()
    again = serve()
    again.start()
    return again


def test_a_channel_is_held_over_a_restart_for_as_long(serve, server, clock):
    take(server, server.named("a"))
    server = restarted(serve, server)
    master = server.dial()
    master.send(b"<<GBPUSD|3>>")
    clock.advance(LINGER - 1)
    assert server.signals.positions("main")["GBPUSD"].volume == 1
    clock.advance(1)
    assert server.signals.positions("main")["GBPUSD"].volume == 3
    again = restarted(serve, server)
    again.dial().send(b"<<GBPUSD|2>>")
    assert again.signals.positions("main")["GBPUSD"].volume == 2, "it is let go for good"


def test_a_channel_that_is_held_over_a_restart_is_free_for_whoever_asks(serve, server):
    take(server, server.named("a"))
    server = restarted(serve, server)
    assert take(server, server.named("b"), "free") == "stored"
    assert take(server, server.named("a"), "free") == "fenced"


def test_one_that_said_bye_holds_nothing_over_a_restart(serve, server):
    publisher = server.named("a")
    take(server, publisher)
    publisher.send(messages.bye())
    publisher.hang_up()
    server = restarted(serve, server)
    server.dial().send(b"<<GBPUSD|3>>")
    assert server.signals.positions("main")["GBPUSD"].volume == 3


# Symbols of classic publishers


def test_a_refused_frame_takes_no_symbol(serve):
    server = serve("signals.channels.main.max_volume=5")
    older, newer = server.dial(), server.dial()
    older.send(b"<<GBPUSD|1.00>>")
    newer.send(b"<<GBPUSD|50.00>>")
    older.send(b"<<GBPUSD|0.00>>")
    assert server.signals.positions("main")["GBPUSD"].volume == 0


def test_a_frame_that_a_pause_refuses_takes_no_symbol_and_nobody_is_a_provider_by_it(server):
    older, newer, follower = server.dial(), server.dial(), server.subscribe()
    Pauses(server.signals).pause("main", "close_only")
    newer.send(b"<<GBPUSD|2.00>>")
    assert DOWN in told(follower)
    older.send(b"<<GBPUSD|0.00>>")
    assert [e.volume for e in server.entries()] == [0]


def test_a_frame_that_says_what_stands_takes_a_symbol(server):
    older, newer = server.dial(), server.dial()
    older.send(b"<<GBPUSD|1.00>>")
    newer.send(b"<<GBPUSD|1.00>>")
    older.send(b"<<GBPUSD|2.00>>")
    assert server.signals.positions("main")["GBPUSD"].volume == 1


def test_within_a_commit_the_newest_takes_a_symbol_over_too(server):
    older, newer = server.dial(), server.dial()
    older.send(b"<<GBPUSD|1>>")
    server.disk.held = True
    newer.send(b"<<X|1>>")
    newer.send(b"<<GBPUSD|1>>")
    older.send(b"<<GBPUSD|2>>")
    newer.send(b"<<GBPUSD|3>>")
    older.send(b"<<GBPUSD|4>>")
    server.disk.work()
    assert server.signals.positions("main")["GBPUSD"].volume == 3


def test_within_a_commit_a_flat_symbol_of_a_full_channel_has_an_owner_too(serve):
    server = serve("signals.max_symbols=1")
    older, newer = server.dial(), server.dial()
    older.send(b"<<GBPUSD|1>>")
    server.disk.held = True
    newer.send(b"<<GBPUSD|2>>")
    newer.send(b"<<EURUSD|0>>")
    older.send(b"<<EURUSD|1>>")
    server.disk.work()
    newer.hang_up()
    server.disk.work()
    assert gone(older), "it is closed when the owner of its refused frame leaves"


# What was refused is heard again


def test_when_a_pause_ends_the_last_refused_frame_is_judged_and_the_connection_closed(server):
    master = server.dial()
    master.send(b"<<GBPUSD|1>>")
    Pauses(server.signals).pause("main", "frozen")
    master.send(b"<<GBPUSD|0.5>><<GBPUSD|0>><<EURUSD|1>>")
    assert not master.closed
    Pauses(server.signals).pause("main", None)
    assert server.signals.positions("main")["GBPUSD"].volume == 0
    assert server.signals.positions("main")["EURUSD"].volume == 1
    assert master.closed


def test_from_frozen_to_close_only_is_such_an_end(server):
    master = server.dial()
    master.send(b"<<GBPUSD|1>>")
    Pauses(server.signals).pause("main", "frozen")
    master.send(b"<<GBPUSD|0>><<EURUSD|1>>")
    Pauses(server.signals).pause("main", "close_only")
    assert server.signals.positions("main")["GBPUSD"].volume == 0
    assert "EURUSD" not in server.signals.positions("main")
    assert master.closed


def test_from_close_only_to_frozen_is_none(server):
    master = server.dial()
    Pauses(server.signals).pause("main", "close_only")
    master.send(b"<<EURUSD|1>>")
    Pauses(server.signals).pause("main", "frozen")
    assert not master.closed


def test_a_publisher_without_refused_frames_stays_connected(server):
    master = server.dial()
    master.send(b"<<GBPUSD|1>>")
    Pauses(server.signals).pause("main", "close_only")
    master.send(b"<<GBPUSD|0>>")
    Pauses(server.signals).pause("main", None)
    assert not master.closed


def test_a_later_frame_that_was_taken_leaves_nothing_to_judge_again(server):
    master = server.dial()
    master.send(b"<<GBPUSD|1>>")
    Pauses(server.signals).pause("main", "close_only")
    master.send(b"<<GBPUSD|2>><<GBPUSD|0.5>>")
    Pauses(server.signals).pause("main", None)
    assert server.signals.positions("main")["GBPUSD"].volume == server.entries()[-1].volume
    assert f"{server.entries()[-1].volume:f}" == "0.5"


def test_a_later_frame_that_waits_for_the_disk_is_not_overtaken(server):
    master = server.dial()
    master.send(b"<<GBPUSD|1>>")
    Pauses(server.signals).pause("main", "frozen")
    master.send(b"<<GBPUSD|0>>")
    server.disk.held = True
    master.send(b"<<EURUSD|0>>")
    master.send(b"<<GBPUSD|0.5>>")
    Pauses(server.signals).pause("main", None)
    server.disk.work()
    assert f"{server.signals.positions('main')['GBPUSD'].volume:f}" == "0.5"


def test_a_reason_that_ends_while_the_disk_works_is_seen(server):
    master = server.dial()
    master.send(b"<<GBPUSD|1>>")
    Pauses(server.signals).pause("main", "close_only")
    server.disk.held = True
    master.send(b"<<GBPUSD|2>>")
    Pauses(server.signals).pause("main", None)
    server.disk.work()
    assert server.signals.positions("main")["GBPUSD"].volume == 2
    assert master.closed


def test_when_the_publisher_of_dialect_2_says_bye_classic_frames_are_heard_again(server):
    master, publisher = server.dial(), server.greet()
    master.send(b"<<GBPUSD|1>>")
    take(server, publisher, None, "1")
    master.send(b"<<GBPUSD|0>>")
    publisher.send(messages.bye())
    assert server.signals.positions("main")["GBPUSD"].volume == 0
    assert master.closed


def test_when_the_newer_owner_leaves_the_older_is_heard_again(server):
    older, newer = server.dial(), server.dial()
    older.send(b"<<GBPUSD|1>>")
    newer.send(b"<<GBPUSD|1>>")
    older.send(b"<<GBPUSD|0>>")
    assert server.signals.positions("main")["GBPUSD"].volume == 1
    newer.hang_up()
    assert server.signals.positions("main")["GBPUSD"].volume == 0
    assert older.closed


def test_the_symbols_of_one_that_is_closed_are_kept_for_its_address(serve, clock):
    server = serve('access.networks."192.0.2.0/24"=publish')
    other, master = server.dial(peer="192.0.2.8"), server.dial(peer="192.0.2.9")
    master.send(b"<<GBPUSD|1>>")
    Pauses(server.signals).pause("main", "frozen")
    master.send(b"<<GBPUSD|2>>")
    Pauses(server.signals).pause("main", None)
    assert master.closed
    other.send(b"<<GBPUSD|4>>")
    master.hang_up()
    other.send(b"<<GBPUSD|5>>")
    assert server.signals.positions("main")["GBPUSD"].volume == 2
    back = server.dial(peer="192.0.2.9")
    back.send(b"<<GBPUSD|3>>")
    assert server.signals.positions("main")["GBPUSD"].volume == 3
    back.hang_up()
    clock.advance(0)
    assert server.signals.positions("main")["GBPUSD"].volume == 5
    assert other.closed


def test_they_are_free_again_after_a_while(serve, clock):
    server = serve('access.networks."192.0.2.0/24"=publish')
    other, master = server.dial(peer="192.0.2.8"), server.dial(peer="192.0.2.9")
    master.send(b"<<GBPUSD|1>>")
    Pauses(server.signals).pause("main", "frozen")
    master.send(b"<<GBPUSD|2>>")
    Pauses(server.signals).pause("main", None)
    master.hang_up()
    other.send(b"<<GBPUSD|5>>")
    clock.advance(KEPT - 1)
    assert server.signals.positions("main")["GBPUSD"].volume == 2
    clock.advance(1)
    assert server.signals.positions("main")["GBPUSD"].volume == 5


def test_a_source_is_closed_and_dialled_again(serve):
    """A source has no address of a peer; its name stands in."""
    server = serve()
    closed = []
    source = server.signals.join("source a", None, close=closed.append, address="source a")
    Pauses(server.signals).pause("main", "close_only")
    server.signals.submit(source, "main", "GBPUSD", 1)
    Pauses(server.signals).pause("main", None)
    assert "resend its whole state" in closed[0]
    assert server.signals.positions("main")["GBPUSD"].volume == 1


# Channels that come


def test_a_new_channel_is_told_to_those_who_were_refused_it(server):
    waiting, other = server.greet(), server.greet()
    waiting.send(requests.subscribe("gold"))
    assert told(waiting) == ["ERROR|code=channel|channel=gold"]
    server.publish(server.greet(), "a", channel="gold")
    assert told(waiting) == ["CHANNELS|channels=gold"]
    assert told(other) == []
    waiting.send(requests.subscribe("gold"))
    assert told(waiting)[0] == "SNAPSHOT|channel=gold|seq=1|count=1"
    server.publish(server.greet(), "b", channel="oil")
    assert told(waiting) == []


def test_the_right_to_publish_includes_the_right_to_subscribe(serve):
    server = serve("access.anonymous=publish:signals/main")
    stranger = server.greet(host="192.0.2.1", peer="192.0.2.9")
    stranger.send(requests.subscribe("main"))
    assert told(stranger)[0].startswith("SNAPSHOT")
    stranger.send(requests.subscribe("gold"))
    assert told(stranger) == ["ERROR|code=denied|channel=gold"]
    server.publish(server.greet(), "a", channel="gold")
    assert told(stranger) == []


# Refusals that are no offence


def test_what_the_disk_refuses_is_no_offence(serve):
    server = serve("signals.errors=3", "access.anonymous=publish")
    publisher = server.greet(peer="192.0.2.9")
    server.journal.fault = "lost"
    for number in range(9):
        server.publish(publisher, f"n{number}")
        server.clock.advance(2)
    assert not gone(publisher)
    assert told(publisher) == [f"ERROR|code=server|id=n{n}|channel=main" for n in range(9)]


def test_what_a_rail_or_a_fence_refuses_is_no_offence(serve):
    server = serve("signals.errors=3", "signals.channels.main.max_volume=1")
    old, new = server.greet(), server.greet()
    for number in range(9):
        server.publish(old, f"n{number}", "2")
    assert not gone(old)
    server.publish(old, "a")
    server.publish(new, "b")
    for number in range(9):
        server.publish(old, f"m{number}")
    assert not gone(old)
    for _ in range(3):
        old.send(b"<<NONSENSE>>")
    assert gone(old)


def test_a_classic_connection_of_which_something_was_refused_is_not_closed_cleanly(serve):
    server = serve("signals.channels.main.max_volume=1", "signals.refusals=3")
    master = server.dial()
    for _ in range(9):
        master.send(b"<<GBPUSD|2>>")
    assert not master.closed
    master.finish()
    assert master.reset
