"""What a follower of dialect 2 is sent: nothing missing, nothing twice."""

import pytest
from signals_peers import HELLO, Server, frame, gone, told

from mtnet.errors import JournalError
from mtnet.services.signals import replay_cache
from mtnet.services.signals import subscription as subscriptions
from mtnet.services.signals.status.report import Status
from mtnet.services.signals.wire import requests
from mtnet.session import messages


@pytest.fixture
def server(tmp_path, clock):
    return Server(tmp_path / "data", clock)


def signals(first, last, symbol="GBPUSD", channel="main"):
    return [
        f"SIGNAL|channel={channel}|seq={seq}|symbol={symbol}|volume={seq}"
        for seq in range(first, last + 1)
    ]


def seqs(frames):
    return [int(each.split("|seq=")[1].split("|")[0]) for each in frames if "SIGNAL" in each]


DOWN = "STATUS|channel=main|publisher=down"
UP = "STATUS|channel=main|publisher=up"


def test_of_a_new_channel_nothing_is_known(server):
    follower = server.subscribe()
    assert told(follower) == [
        "SNAPSHOT|channel=main|seq=0|count=0",
        "SYNCED|channel=main|seq=0",
        DOWN,
    ]


def test_without_after_it_gets_what_stands_and_then_news(server):
    server.store(3)
    server.store(1, "EURUSD", first=4)
    follower = server.subscribe()
    assert told(follower) == [
        "SNAPSHOT|channel=main|seq=4|count=2",
        "POSITION|channel=main|seq=3|symbol=GBPUSD|volume=3",
        "POSITION|channel=main|seq=4|symbol=EURUSD|volume=4",
        "SYNCED|channel=main|seq=4",
        DOWN,
    ]
    publisher = server.greet()
    server.publish(publisher, "x", 5)
    assert told(follower) == [*signals(5, 5), UP]


def test_a_snapshot_does_not_name_what_is_flat(server):
    server.store(2)
    publisher = server.greet()
    server.publish(publisher, "close", 0)
    assert told(server.subscribe())[:2] == [
        "SNAPSHOT|channel=main|seq=3|count=0",
        "SYNCED|channel=main|seq=3",
    ]


@pytest.mark.parametrize("after", [0, 1, 4, 5])
def test_with_epoch_and_after_it_gets_what_it_missed(server, after):
    server.store(5)
    follower = server.subscribe(epoch=server.epoch(), after=after)
    assert told(follower) == [*signals(after + 1, 5), "SYNCED|channel=main|seq=5", DOWN]


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        ({"after": 6}, "|diverged=1"),
        ({"after": 2**63 - 1}, "|diverged=1"),
        ({"epoch": "0" * 16}, ""),
        ({"after": None}, ""),
    ],
)
def test_a_client_that_knows_another_journal_or_the_future_gets_a_snapshot(server, asked, more):
    server.store(5)
    follower = server.subscribe(**{"epoch": server.epoch(), "after": 5, **asked})
    assert told(follower)[0] == f"SNAPSHOT|channel=main|seq=5|count=1{more}"


def test_an_epoch_is_read_in_either_case(server):
    server.store(2)
    follower = server.subscribe(epoch=server.epoch().upper(), after=2)
    assert told(follower) == ["SYNCED|channel=main|seq=2", DOWN]


def test_an_unknown_channel_is_an_error_and_no_empty_snapshot(server):
    follower = server.subscribe("gold")
    assert told(follower) == ["ERROR|code=channel|channel=gold"]
    assert not gone(follower)


def test_a_channel_begins_with_its_first_accepted_publish(server):
    publisher = server.greet()
    server.publish(publisher, "a", "1", channel="gold", type="sell_limit")
    assert told(server.subscribe("gold")) == ["ERROR|code=channel|channel=gold"]
    server.publish(publisher, "a", "1", channel="gold")
    assert told(server.subscribe("gold"))[0] == "SNAPSHOT|channel=gold|seq=1|count=1"


def test_a_configured_channel_is_there_from_the_start(tmp_path, clock):
    server = Server(tmp_path / "data", clock, "signals.channels.gold.max_volume=1")
    assert told(server.subscribe("gold"))[0] == "SNAPSHOT|channel=gold|seq=0|count=0"


def test_optional_fields_travel_and_the_time_of_the_publisher_goes_as_ptime(server):
    follower = server.subscribe()
    told(follower)
    fields = {"price": "1.09870", "sl": "1.1", "comment": "a%7Cb", "magic": "7", "time": "5"}
    server.publish(server.greet(), "a", "-0.250", ticket="8", type="sell_stop", **fields)
    assert told(follower)[0] == (
        "SIGNAL|channel=main|seq=1|symbol=GBPUSD|volume=-0.250|ticket=8|type=sell_stop"
        "|comment=a%7Cb|magic=7|price=1.09870|ptime=5|sl=1.1"
    )


# Filters


def test_a_filter_leaves_out_other_symbols_and_says_what_was_sent_before(server):
    server.store(2, "EURUSD")
    server.store(1, "GBPUSD", first=3)
    server.store(1, "EURUSD", first=4)
    follower = server.subscribe(symbols=["GBPUSD"], epoch=server.epoch(), after=0)
    assert told(follower) == [
        "SIGNAL|channel=main|seq=3|symbol=GBPUSD|volume=3|prev=0",
        "SYNCED|channel=main|seq=4",
        DOWN,
    ]
    publisher = server.greet()
    for number, symbol in enumerate(["EURUSD", "GBPUSD", "EURUSD", "GBPUSD"], 5):
        server.publish(publisher, f"n{number}", number, symbol)
    assert told(follower) == [
        UP,
        "SIGNAL|channel=main|seq=6|symbol=GBPUSD|volume=6|prev=4",
        "SIGNAL|channel=main|seq=8|symbol=GBPUSD|volume=8|prev=6",
    ]


def test_a_filtered_snapshot_counts_what_it_holds(server):
    server.store(2, "EURUSD")
    server.store(1, "GBPUSD", first=3)
    follower = server.subscribe(symbols=["EURUSD", "USDJPY"])
    assert told(follower)[:3] == [
        "SNAPSHOT|channel=main|seq=3|count=1",
        "POSITION|channel=main|seq=2|symbol=EURUSD|volume=2",
        "SYNCED|channel=main|seq=3",
    ]
    server.publish(server.greet(), "x", 9, "USDJPY")
    assert told(follower)[0] == "SIGNAL|channel=main|seq=4|symbol=USDJPY|volume=9|prev=3"


def test_subscribing_again_replaces_the_filter(server):
    follower = server.subscribe(symbols=["EURUSD"])
    follower.send(requests.subscribe(symbols=["GBPUSD"]))
    told(follower)
    publisher = server.greet()
    server.publish(publisher, "a", 1, "EURUSD")
    server.publish(publisher, "b", 1, "GBPUSD")
    assert seqs(told(follower)) == [2]
    assert server.signals.fanout.count() == 1
    follower.send(requests.subscribe())
    told(follower)
    server.publish(publisher, "c", 2, "EURUSD")
    assert told(follower) == ["SIGNAL|channel=main|seq=3|symbol=EURUSD|volume=2"]


def test_subscribing_to_what_is_unknown_leaves_the_other_subscriptions(server):
    follower = server.subscribe()
    follower.send(requests.subscribe("gold"))
    told(follower)
    server.publish(server.greet(), "a")
    assert seqs(told(follower)) == [1]


def test_behind_unsubscribed_nothing_of_the_channel_follows(server):
    follower = server.subscribe()
    told(follower)
    follower.send(requests.unsubscribe())
    assert told(follower) == ["UNSUBSCRIBED|channel=main"]
    server.publish(server.greet(), "a")
    assert told(follower) == []
    assert server.signals.fanout.count() == 0


def test_a_client_follows_several_channels_each_with_its_own_count(server):
    publisher = server.greet()
    server.publish(publisher, "a", 1, channel="gold")
    follower = server.subscribe()
    follower.send(requests.subscribe("gold", epoch=server.epoch("gold"), after=0))
    told(follower)
    server.publish(publisher, "a", 1)
    server.publish(publisher, "b", 2, channel="gold")
    assert told(follower) == [
        *signals(1, 1),
        "STATUS|channel=main|publisher=up",
        "SIGNAL|channel=gold|seq=2|symbol=GBPUSD|volume=2",
    ]


# Catching up while the world goes on


@pytest.fixture(params=[0, 4], ids=["from the disk", "partly from memory"])
def page(monkeypatch, request):
    monkeypatch.setattr(subscriptions, "PAGE", 3)
    monkeypatch.setattr(replay_cache, "PAGE", 3)
    monkeypatch.setattr(replay_cache, "RING", request.param)
    return request.param


def settle(server):
    """Let the disk do what waits, and followers be caught up, who stand back behind commits."""
    for _ in range(12):
        server.disk.work()
        server.clock.advance(replay_cache.PAUSE)


def test_a_replay_of_many_pages_is_whole(server, page):
    server.store(20)
    follower = server.subscribe(epoch=server.epoch(), after=1)
    assert told(follower) == [*signals(2, 20), "SYNCED|channel=main|seq=20", DOWN]


@pytest.mark.parametrize("landed", range(12))
def test_what_is_committed_during_a_replay_is_sent_once_and_in_order(server, page, landed):
    server.store(10)
    publisher = server.greet()
    server.disk.held = True
    follower = server.subscribe(epoch=server.epoch(), after=2)
    number = 11
    for turn in range(12):
        if turn == landed:
            for _ in range(4):
                server.publish(publisher, f"p{number}", number)
                number += 1
        if server.disk.calls:
            server.disk.step()
    server.disk.work()
    server.publish(publisher, "last", number)
    settle(server)
    frames = told(follower)
    assert seqs(frames) == list(range(3, 16))
    assert sum(each.startswith("SYNCED") for each in frames) == 1


def test_pages_wait_for_the_reader(server, page, clock):
    server.store(300)
    follower = server.greet()
    follower.transport.stalled = True
    follower.send(b"<<PING>>" * 2_500)
    follower.received()
    follower.send(requests.subscribe(epoch=server.epoch(), after=0))
    assert seqs(told(follower)) == []
    follower.transport.stalled = False
    follower.transport.drain()
    clock.advance(0)
    assert seqs(told(follower)) == list(range(1, 301))


def test_a_reader_that_pauses_during_a_replay_misses_nothing(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(replay_cache, "PAGE", 700)
    server = Server(tmp_path / "data", clock)
    server.store(3_000)
    follower = server.greet()
    follower.transport.stalled = True
    follower.send(requests.subscribe(epoch=server.epoch(), after=0))
    before = told(follower)
    assert 0 < len(before) < 3_000
    publisher = server.greet()
    for number in range(3_001, 3_011):
        server.publish(publisher, f"n{number}", number)
    assert told(follower) == [], "news waits behind what was missed"
    follower.transport.stalled = False
    follower.transport.drain()
    clock.pump([0] * 20)
    assert seqs(before + told(follower)) == list(range(1, 3_011))


def test_entries_that_are_pruned_during_a_replay_become_a_snapshot(tmp_path, clock, page):
    server = Server(tmp_path / "data", clock, "signals.retain=10")
    server.store(10)
    publisher = server.greet()
    server.disk.held = True
    follower = server.subscribe(epoch=server.epoch(), after=0)
    server.disk.step()
    for number in range(11, 41):
        server.publish(publisher, f"n{number}", number)
    # The publisher's commits overtake the follower's next page.
    server.disk.calls.sort(key=lambda call: "read" in getattr(call[1], "__name__", ""))
    server.disk.work()
    server.publish(publisher, "last", 41)
    settle(server)
    frames = told(follower)
    at = next(n for n, each in enumerate(frames) if each.startswith("SNAPSHOT"))
    assert seqs(frames[:at]) == list(range(1, at + 1))
    base = int(frames[at].split("|seq=")[1].split("|")[0])
    assert frames[at + 2] == f"SYNCED|channel=main|seq={base}"
    assert seqs(frames[at:]) == list(range(base + 1, 42))
    assert sum(each.startswith("SYNCED") for each in frames) == 1


def test_a_client_that_asks_for_pruned_entries_gets_a_snapshot(tmp_path, clock):
    server = Server(tmp_path / "data", clock, "signals.retain=5")
    server.store(30)
    assert told(server.subscribe(epoch=server.epoch(), after=0))[0].startswith("SNAPSHOT")
    assert told(server.subscribe(epoch=server.epoch(), after=28)) == [
        *signals(29, 30),
        "SYNCED|channel=main|seq=30",
        DOWN,
    ]


def test_a_journal_that_cannot_be_read_ends_the_connection(server, monkeypatch):
    server.store(3)

    def fail(*_):
        raise JournalError(f"{server.journal.path} does not give its rows")

    monkeypatch.setattr(server.journal, "read", fail)
    follower = server.subscribe(epoch=server.epoch(), after=0)
    said = follower.received()
    assert b"ERROR|code=server" in said
    assert str(server.journal.path.parent).encode() not in said
    assert gone(follower), "it would follow nothing, and not know it"
    assert server.signals.fanout.count() == 0
    assert (
        Status(server.signals).health()["trouble"].endswith("signals.sqlite does not give its rows")
    )
    monkeypatch.undo()
    follower = server.subscribe(epoch=server.epoch(), after=0)
    assert seqs(told(follower)) == [1, 2, 3]
    assert Status(server.signals).health()["healthy"]


@pytest.mark.parametrize("leave", ["hang up", "unsubscribe", "again", "bye"])
def test_a_client_that_leaves_during_a_catch_up_leaves_nothing_behind(server, page, clock, leave):
    server.store(10)
    server.disk.held = True
    follower = server.subscribe(epoch=server.epoch(), after=0)
    for _ in range(2 if page else 1):
        server.disk.step()
    if leave == "hang up":
        follower.hang_up()
    elif leave == "unsubscribe":
        follower.send(requests.unsubscribe())
    elif leave == "again":
        follower.send(requests.subscribe(epoch=server.epoch(), after=9))
    else:
        follower.send(messages.bye())
    server.disk.work()
    assert server.signals.fanout.count() == (leave == "again")
    expected = [1, 2, 3, 10] if leave == "again" else [1, 2, 3]
    assert seqs(told(follower)) == expected
    if leave != "unsubscribe":
        follower.hang_up()
        clock.advance(0)
        assert server.signals.fanout.count() == 0


# Status


def test_a_follower_learns_whether_its_provider_is_there(server):
    follower = server.subscribe()
    assert told(follower)[-1] == DOWN
    publisher = server.greet()
    server.publish(publisher, "a")
    assert told(follower) == [*signals(1, 1), UP]
    assert told(server.subscribe())[-1] == UP
    publisher.hang_up()
    assert told(follower) == [DOWN]


def test_a_classic_master_is_a_provider_too(server):
    follower = server.subscribe()
    told(follower)
    master = server.dial()
    master.send(b"<<GBPUSD|1.00>>\0")
    assert told(follower) == [
        "SIGNAL|channel=main|seq=1|symbol=GBPUSD|volume=1.00",
        UP,
    ]
    master.hang_up()
    assert told(follower) == [DOWN]


def test_hello_and_subscribe_in_one_segment_are_answered_in_order(server):
    terminal = server.dial()
    terminal.send(HELLO + frame("SUBSCRIBE", channel="main") + frame("PING", t="x"))
    assert [each.partition("|")[0] for each in told(terminal)] == [
        *("WELCOME", "SNAPSHOT", "SYNCED", "STATUS", "PONG")
    ]
