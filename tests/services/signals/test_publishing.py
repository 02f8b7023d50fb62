"""Who sets positions in dialect 2, what is answered, and in which order."""

import pytest
from fakes.tcp import TcpTransport
from signals_peers import HELLO, Server, frame, gone, told

from mtnet.services.signals.wire import requests


@pytest.fixture
def server(tmp_path, clock):
    return Server(tmp_path / "data", clock)


@pytest.fixture
def serve(tmp_path, clock):
    return lambda *sets, **more: Server(tmp_path / "data", clock, *sets, **more)


def volumes(server, channel="main"):
    return [(entry.seq, entry.symbol, str(entry.volume)) for entry in server.entries(channel)]


def test_stored_is_said_once_it_is_on_disk_and_not_before(server):
    publisher = server.greet()
    server.disk.held = True
    server.publish(publisher, "a")
    assert told(publisher) == []
    server.disk.work()
    assert told(publisher) == ["STORED|id=a|seq=1"]


def test_the_publisher_is_told_first_then_followers_then_classic_followers(server, monkeypatch):
    order = []
    publisher, follower, published = server.greet(), server.subscribe(), server.follow()
    for name, each in [("STORED", publisher), ("SIGNAL", follower), ("published", published)]:
        write = each.transport.write
        monkeypatch.setattr(
            each.transport, "write", lambda data, n=name, w=write: (order.append(n), w(data))
        )
    server.disk.held = True
    server.publish(publisher, "a")
    server.disk.work()
    assert order[:2] == ["STORED", "SIGNAL"]
    assert order.index("published") > order.index("SIGNAL")


def test_stored_leaves_the_process_before_any_follower_is_told(server, clock):
    order, peers = [], {"SIGNAL": TcpTransport(clock), "STORED": TcpTransport(clock)}
    for name, transport in peers.items():
        protocol = server.factory.buildProtocol(transport.getPeer())
        protocol.makeConnection(transport)
        protocol.dataReceived(HELLO + (requests.subscribe() if name == "SIGNAL" else b""))
        transport.turn()
        transport.handle.heard = lambda data, n=name: order.append((n, n.encode() in data))
    server.disk.held = True
    protocol.dataReceived(frame("PUBLISH", id="a", symbol="GBPUSD", volume="1"))
    server.disk.work()
    for transport in peers.values():
        transport.handle.close()
    assert order[:2] == [("STORED", True), ("SIGNAL", True)]
    assert [transport.value() for transport in peers.values()] == [b"", b""]


def test_a_publisher_that_follows_itself_is_told_stored_before_the_signal(server):
    publisher = server.subscribe()
    told(publisher)
    server.disk.held = True
    server.publish(publisher, "a")
    server.disk.work()
    assert told(publisher) == [
        "STORED|id=a|seq=1",
        "SIGNAL|channel=main|seq=1|symbol=GBPUSD|volume=1",
        "STATUS|channel=main|publisher=up",
    ]


def test_what_comes_during_a_commit_is_one_more_commit(server):
    publisher, follower = server.greet(), server.subscribe()
    told(follower)
    server.disk.held = True
    for number in range(1, 6):
        server.publish(publisher, f"n{number}", number)
    assert len(server.disk.calls) == 1
    server.disk.step()
    assert told(publisher) == ["STORED|id=n1|seq=1"]
    server.disk.work()
    assert told(publisher) == [f"STORED|id=n{n}|seq={n}" for n in range(2, 6)]
    assert len([each for each in told(follower) if "SIGNAL" in each]) == 5


def test_the_same_id_again_is_answered_alike_and_not_applied_twice(server):
    publisher, follower = server.greet(), server.subscribe()
    told(follower)
    server.publish(publisher, "a", "1")
    server.publish(publisher, "b", "2")
    server.publish(publisher, "a", "1.00")
    assert told(publisher) == ["STORED|id=a|seq=1", "STORED|id=b|seq=2", "STORED|id=a|seq=1"]
    assert [seq for seq, *_ in volumes(server)] == [1, 2]


def test_a_stored_id_is_answered_on_another_connection_and_by_the_next_daemon(serve):
    first = serve()
    first.publish(first.greet(), "a", "1", price="1.50")
    again = serve()
    for _ in range(2):
        publisher = again.greet()
        again.publish(publisher, "a", "1", price="1.50")
        assert told(publisher) == ["STORED|id=a|seq=1"]
    assert len(volumes(again)) == 1


@pytest.mark.parametrize("held", [False, True])
def test_the_same_id_is_the_same_when_its_numbers_have_other_digits(server, held):
    """JSON writes a number by its shortest text, and a terminal with the digits of its symbol."""
    publisher = server.greet()
    server.disk.held = held
    server.publish(publisher, "a", "1.0", price="1.50", sl="1e0", magic="7", comment="1.0")
    server.publish(publisher, "a", "1", price="1.5", sl="1", magic="007", comment="1.0")
    server.publish(publisher, "a", "1", price="1.5", sl="1", magic="7", comment="1")
    server.disk.work()
    stored = "STORED|id=a|seq=1"
    assert told(publisher) == [stored, stored, "ERROR|code=id|id=a|channel=main"]
    assert len(volumes(server)) == 1


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(
    "other",
    [
        {"volume": "2"},
        {"symbol": "EURUSD"},
        {"price": "1"},
        {"ticket": "7"},
        {"type": "buy_limit"},
        {"time": "9"},
    ],
)
def test_the_same_id_with_other_fields_is_an_error_and_stores_nothing(server, other, held):
    publisher, follower = server.greet(), server.subscribe()
    told(follower)
    server.disk.held = held
    server.publish(publisher, "a")
    server.publish(publisher, "a", **other)
    server.disk.work()
    assert told(publisher) == ["STORED|id=a|seq=1", "ERROR|code=id|id=a|channel=main"]
    assert len(told(follower)) == 2
    assert len(volumes(server)) == 1


def test_an_id_names_one_signal_in_each_channel(server):
    publisher = server.greet()
    server.publish(publisher, "a", "1")
    server.publish(publisher, "a", "2", channel="gold")
    assert told(publisher) == ["STORED|id=a|seq=1", "STORED|id=a|seq=1"]


def test_the_same_position_under_a_new_id_is_an_entry(server):
    publisher = server.greet()
    server.publish(publisher, "a")
    server.publish(publisher, "b")
    assert told(publisher) == ["STORED|id=a|seq=1", "STORED|id=b|seq=2"]


@pytest.mark.parametrize("first", ["", "7"])
def test_a_symbol_is_netting_or_by_ticket_until_it_is_flat(server, first):
    def publish(identity, volume, ticket):
        server.publish(publisher, identity, volume, **({"ticket": ticket} if ticket else {}))

    other = "7" if not first else ""
    publisher = server.greet()
    publish("a", "1", first)
    publish("b", "1", other)
    publish("c", "0", first)
    publish("d", "1", other)
    assert told(publisher) == [
        "STORED|id=a|seq=1",
        "ERROR|code=field|id=b|channel=main",
        "STORED|id=c|seq=2",
        "STORED|id=d|seq=3",
    ]


def test_orders_that_wait_are_no_position_for_classic_followers(server):
    publisher, follower = server.greet(), server.follow()
    server.publish(publisher, "a", "0.5", ticket="1", type="buy_limit")
    server.publish(publisher, "b", "0.25", ticket="2")
    server.clock.advance(5)
    assert b"0.25" in follower.received().split(b"\r\n")[-2]
    snapshot = told(server.subscribe())
    assert snapshot[0] == "SNAPSHOT|channel=main|seq=2|count=2"
    assert snapshot[1].endswith("volume=0.5|ticket=1|type=buy_limit")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"volume": "2.01"}, "field"),
        ({"volume": "-2.01"}, "field"),
        ({"symbol": "EURUSD"}, "field"),
        ({"volume": "1.51", "id": "big"}, "field"),
    ],
)
def test_guard_rails_refuse_a_slip_of_the_hand(serve, fields, code):
    rails = "signals.channels.main"
    server = serve(f"{rails}.max_volume=2", f"{rails}.max_change=1.5", f"{rails}.symbols=GBPUSD")
    publisher = server.greet()
    server.publish(publisher, **{"identity": fields.pop("id", "x"), **fields})
    answer = told(publisher)
    assert [each.split("|")[1] for each in answer] == [f"code={code}"]
    assert volumes(server) == []
    server.publish(publisher, "y", "1.5")
    assert told(publisher) == ["STORED|id=y|seq=1"]


def test_guard_rails_hold_for_the_positions_of_one_commit(serve):
    server = serve("signals.channels.main.max_change=1")
    publisher = server.greet()
    server.disk.held = True
    for number, volume in enumerate(["1", "2", "3", "5", "0", "1"]):
        server.publish(publisher, f"n{number}", volume)
    server.disk.work()
    assert [entry[2] for entry in volumes(server)] == ["1", "2", "3", "0", "1"]


def test_guard_rails_hold_for_classic_frames_and_are_logged(serve, warnings):
    server = serve("signals.channels.main.max_volume=2")
    master = server.dial()
    master.send(b"<<GBPUSD|3>><<GBPUSD|1>>")
    assert volumes(server) == [(1, "GBPUSD", "1")]
    assert "more than the 2" in warnings()[0]["what"]


def test_a_full_channel_refuses_new_symbols_and_nothing_else(serve):
    server = serve("signals.max_symbols=2")
    publisher = server.greet()
    server.disk.held = True
    server.publish(publisher, "a", 1, "A")
    server.disk.work()
    server.publish(publisher, "b", 2, "A")
    server.publish(publisher, "c", 1, "B")
    server.publish(publisher, "d", 1, "C")
    server.publish(publisher, "e", 2, "B")
    server.disk.work()
    assert told(publisher)[1:] == [
        "STORED|id=b|seq=2",
        "STORED|id=c|seq=3",
        "ERROR|code=field|id=d|channel=main",
        "STORED|id=e|seq=4",
    ]


# Who may


@pytest.mark.parametrize(
    ("rights", "verb", "fields"),
    [
        ("follow", "PUBLISH", {"id": "a", "symbol": "X", "volume": "1"}),
        ("publish:signals/gold", "SUBSCRIBE", {"channel": "main"}),
    ],
)
def test_strangers_do_what_anonymous_says(serve, rights, verb, fields):
    server = serve(f"access.anonymous={rights}")
    stranger = server.greet(host="192.0.2.1", peer="192.0.2.9")
    stranger.send(frame(verb, **fields))
    (answer,) = told(stranger)
    assert answer.startswith("ERROR|code=denied")
    assert not gone(stranger)
    assert volumes(server) == []


# A disk that is behind


def test_a_publisher_is_paused_while_the_disk_is_behind(serve):
    server = serve("signals.backlog=3")
    publisher = server.greet()
    server.disk.held = True
    for number in range(5):
        server.publish(publisher, f"n{number}")
    assert publisher.transport.producerState == "paused"
    server.disk.work()
    assert publisher.transport.producerState == "producing"
    assert len(told(publisher)) == 5


def test_hello_anew_of_a_paused_publisher_does_not_leave_it_paused(serve):
    server = serve("signals.backlog=3")
    publisher = server.greet()
    server.disk.held = True
    many = b"".join(frame("PUBLISH", id=f"n{n}", symbol="X", volume=1) for n in range(5))
    publisher.send(many + HELLO)
    server.disk.work()
    assert publisher.transport.producerState == "producing"
    server.publish(publisher, "last")
    server.disk.work()
    assert told(publisher)[-1] == "STORED|id=last|seq=6"
