"""One publisher at a time sets a channel: the newest, until it leaves."""

from decimal import Decimal

import pytest
from signals_peers import HELLO, Server, gone, told

from mtnet.net.endpoints import Listener
from mtnet.services.signals.model import FLAT, Entry, WholeState
from mtnet.services.signals.ownership.publishers import PublisherId
from mtnet.session import messages


@pytest.fixture
def server(tmp_path, clock):
    return Server(tmp_path / "data", clock)


@pytest.fixture
def serve(tmp_path, clock):
    return lambda *sets, **more: Server(tmp_path / "data", clock, *sets, **more)


FENCED = "ERROR|code=fenced|channel=main"


def volumes(server, channel="main"):
    return [(entry.seq, entry.symbol, str(entry.volume)) for entry in server.entries(channel)]


def test_the_newest_publisher_fences_the_one_before_who_stays_connected(server):
    old, new = server.greet(), server.greet()
    server.publish(old, "a")
    told(old)
    server.publish(new, "b")
    assert told(old) == [FENCED]
    assert told(new) == ["STORED|id=b|seq=2"]
    server.publish(old, "c")
    assert told(old) == ["ERROR|code=fenced|id=c|channel=main"]
    assert not gone(old)
    assert [seq for seq, *_ in volumes(server)] == [1, 2]


def test_a_fenced_publisher_is_answered_for_what_is_stored(server):
    old, new = server.greet(), server.greet()
    server.publish(old, "a")
    server.publish(new, "b")
    told(old)
    server.publish(old, "a")
    server.publish(old, "b")
    assert told(old) == ["STORED|id=a|seq=1", "STORED|id=b|seq=2"]
    server.publish(new, "c")
    assert told(new)[-1] == "STORED|id=c|seq=3"


def test_a_fenced_publisher_learns_that_an_id_has_another_content(server):
    old, new = server.greet(), server.greet()
    server.publish(old, "a")
    server.publish(new, "b")
    told(old)
    server.publish(old, "a", "7")
    assert told(old) == ["ERROR|code=id|id=a|channel=main"]


def test_followers_learn_that_the_provider_is_there_and_that_it_is_gone(server):
    follower, publisher = server.subscribe(), server.greet()
    assert told(follower)[-1] == "STATUS|channel=main|publisher=down"
    server.publish(publisher, "a")
    assert told(follower) == [
        "SIGNAL|channel=main|seq=1|symbol=GBPUSD|volume=1",
        "STATUS|channel=main|publisher=up",
    ]
    publisher.hang_up()
    assert told(follower) == ["STATUS|channel=main|publisher=down"]


def test_a_stored_id_sent_again_takes_nothing_over(server):
    old, new = server.greet(), server.greet()
    server.publish(old, "a")
    server.publish(new, "a")
    assert told(old) == ["STORED|id=a|seq=1"]
    server.publish(old, "b")
    assert told(old) == ["STORED|id=b|seq=2"]


def test_a_refused_publish_takes_nothing_over(serve):
    server = serve("signals.channels.main.max_volume=1")
    old, new = server.greet(), server.greet()
    server.publish(old, "a")
    server.publish(new, "b", 2)
    assert told(old) == ["STORED|id=a|seq=1"]


def test_hello_anew_ends_the_fencing(server):
    old, new = server.greet(), server.greet()
    server.publish(old, "a")
    server.publish(new, "b")
    old.send(HELLO)
    told(old)
    server.publish(old, "c")
    assert told(old) == ["STORED|id=c|seq=3"]
    assert told(new)[-1] == FENCED


def test_a_fenced_publisher_stays_fenced_when_the_newer_one_leaves(server):
    old, new = server.greet(), server.greet()
    server.publish(old, "a")
    server.publish(new, "b")
    new.hang_up()
    told(old)
    server.publish(old, "c")
    assert told(old) == ["ERROR|code=fenced|id=c|channel=main"]


def test_fencing_concerns_one_channel(server):
    old, new = server.greet(), server.greet()
    for channel in ("main", "gold"):
        server.publish(old, "a", channel=channel)
    server.publish(new, "b", channel="gold")
    told(old)
    server.publish(old, "c")
    assert told(old) == ["STORED|id=c|seq=2"]


def test_two_publishers_in_one_commit_are_judged_in_their_order(server):
    first, second, third = server.greet(), server.greet(), server.greet()
    server.disk.held = True
    server.publish(first, "warm", symbol="X")
    server.publish(first, "a")
    server.publish(second, "b")
    server.publish(first, "c")
    server.publish(third, "d")
    server.publish(second, "e")
    server.publish(third, "f")
    server.disk.work()
    assert told(first) == [
        "STORED|id=warm|seq=1",
        "STORED|id=a|seq=2",
        FENCED,
        "ERROR|code=fenced|id=c|channel=main",
    ]
    assert told(second) == [
        "STORED|id=b|seq=3",
        FENCED,
        "ERROR|code=fenced|id=e|channel=main",
    ]
    assert told(third) == ["STORED|id=d|seq=4", "STORED|id=f|seq=5"]


def test_one_who_is_gone_before_its_commit_still_fences_the_one_before(server):
    old, brief = server.greet(), server.greet()
    server.publish(old, "a")
    told(old)
    server.disk.held = True
    server.publish(brief, "b")
    server.publish(old, "c")
    brief.hang_up()
    server.disk.work()
    assert told(old) == [FENCED, "ERROR|code=fenced|id=c|channel=main"]
    old.send(HELLO)
    server.publish(old, "d")
    server.disk.work()
    assert told(old)[-1] == "STORED|id=d|seq=3"


def test_what_was_taken_is_stored_though_its_publisher_is_gone(server):
    publisher, follower = server.greet(), server.subscribe()
    told(follower)
    server.disk.held = True
    server.publish(publisher, "a")
    server.publish(publisher, "b")
    publisher.hang_up()
    server.disk.work()
    assert told(follower) == [
        "SIGNAL|channel=main|seq=1|symbol=GBPUSD|volume=1",
        "SIGNAL|channel=main|seq=2|symbol=GBPUSD|volume=1",
    ]
    assert told(publisher) == []


# The classic dialect beside it


def test_classic_frames_are_refused_while_a_publisher_of_dialect_2_lives(server, warnings):
    master, publisher = server.dial(), server.greet()
    master.send(b"<<GBPUSD|1>>")
    server.publish(publisher, "a", "2")
    master.send(b"<<GBPUSD|3>>")
    assert volumes(server) == [(1, "GBPUSD", "1"), (2, "GBPUSD", "2")]
    assert "classic frames are not heard" in warnings()[-1]["what"]
    assert not master.closed
    assert master.received() == b""
    publisher.send(messages.bye())
    assert volumes(server)[-1] == (3, "GBPUSD", "3")


def test_classic_frames_of_the_same_commit_are_refused_behind_the_publisher(server):
    master, publisher = server.dial(), server.greet()
    server.disk.held = True
    master.send(b"<<X|1>><<GBPUSD|1>>")
    server.publish(publisher, "a", "2")
    master.send(b"<<GBPUSD|3>>")
    server.disk.work()
    assert [entry[2] for entry in volumes(server)] == ["1", "1", "2"]


def test_classic_frames_for_other_channels_are_heard(serve):
    listener = Listener("signals", "tcp:9081")
    server = serve('signals.ports."tcp:9081".channel=gold', listener=listener)
    server.publish(server.greet(), "a")
    server.dial().send(b"<<XAUUSD|1>>")
    assert volumes(server, "gold") == [(1, "XAUUSD", "1")]


def test_a_master_that_says_hello_is_no_classic_publisher_any_more(server):
    terminal, follower = server.dial(), server.subscribe()
    terminal.send(b"<<GBPUSD|1>>" + HELLO)
    assert [each.partition("|")[0] for each in told(terminal)] == ["WELCOME"]
    assert [each for each in told(follower) if "STATUS" in each] == [
        "STATUS|channel=main|publisher=down",
        "STATUS|channel=main|publisher=up",
        "STATUS|channel=main|publisher=down",
    ]
    server.publish(terminal, "a", "2")
    assert told(terminal) == ["STORED|id=a|seq=2"]


def test_an_answer_knows_that_its_publisher_is_there(server):
    """The disk takes its time, as in the daemon."""
    server.disk.held, seen = True, []
    signals = server.signals
    whole = WholeState("main", "", FLAT, 0, positions=(Entry("main", "A", Decimal(1), 0),))
    publisher = signals.join("p", who=PublisherId("", "p", http=True))
    done = signals.replace(publisher, whole, "free")
    done.addCallback(lambda _: seen.append(signals.rules.presence_of("main")[0]))
    server.disk.work()
    assert seen == [True]
