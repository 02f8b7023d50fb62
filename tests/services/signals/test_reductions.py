"""What reduces a position is never refused, and what opens one is judged by itself."""

from decimal import Decimal

import pytest
from signals_peers import Server, told

from mtnet.services.signals import book
from mtnet.services.signals.ownership import transitions
from mtnet.services.signals.ownership.pauses import Pauses
from mtnet.services.signals.status.report import Status

RAILS = "signals.channels.main"


@pytest.fixture
def serve(tmp_path, clock):
    return lambda *sets, **more: Server(tmp_path / "data", clock, *sets, **more)


def entries(server):
    return [(e.symbol, e.ticket, f"{e.volume:f}", e.id) for e in server.entries()]


def state(server):
    held = server.signals.channel("main").held()
    return {(e.symbol, e.ticket): f"{e.volume:f}" for e in held}


def codes(terminal):
    """Return ids that are stored, and codes of errors with `+` where something was closed."""
    found = [dict(part.split("=") for part in each.split("|")[1:]) for each in told(terminal)]
    return [f"{f['code']}{'+' * ('closed' in f)}" if "code" in f else f["id"] for f in found]


def publish(server, *drafts):
    """Publish (volume, fields) pairs one after the other; return what was answered."""
    publisher = server.greet()
    for number, (volume, fields) in enumerate(drafts):
        server.publish(publisher, f"n{number}", volume, **fields)
    return codes(publisher)


RAILED = [
    ("max_volume=5", ["10"], "6", "n1"),
    ("max_volume=5", ["10"], "11", "field"),
    ("max_volume=5", ["10"], "-6", "field+"),
    ("max_volume=5", ["10"], "-4", "n1"),
    ("max_change=2", ["2", "4", "5"], "1", "n3"),
    ("max_change=2", ["2"], "-1", "n1"),
    ("max_change=2", ["2"], "-3", "field+"),
    ("symbols=EURUSD", ["1"], "0.5", "n1"),
    ("symbols=EURUSD", ["1"], "1", "n1"),
    ("symbols=EURUSD", ["1"], "2", "field"),
    ("symbols=EURUSD", ["1"], "-1", "field+"),
]


@pytest.mark.parametrize(("rail", "before", "after", "answer"), RAILED)
def test_guard_rails_refuse_what_opens_and_nothing_that_reduces(serve, rail, before, after, answer):
    free = serve()
    publish(free, *((volume, {}) for volume in before))
    server = serve(f"{RAILS}.{rail}")
    publisher = server.greet()
    server.publish(publisher, f"n{len(before)}", after)
    assert codes(publisher) == [answer]
    stands = after if answer.startswith("n") else "" if "+" in answer else before[-1]
    assert state(server) == ({("GBPUSD", ""): stands} if stands else {})


@pytest.mark.parametrize(("rail", "before", "after", "answer"), RAILED)
def test_both_dialects_are_judged_alike(serve, rail, before, after, answer):
    free = serve()
    master = free.dial()
    for volume in before:
        master.send(f"<<GBPUSD|{volume}>>".encode())
    server = serve(f"{RAILS}.{rail}")
    server.dial().send(f"<<GBPUSD|{after}>>".encode())
    stands = after if answer.startswith("n") else "" if "+" in answer else before[-1]
    assert state(server) == ({("GBPUSD", ""): stands} if stands else {})


def test_what_is_refused_of_a_reversal_is_an_entry_without_id_and_the_id_is_not_used(serve):
    server = serve(f"{RAILS}.max_volume=5")
    publisher = server.greet()
    server.publish(publisher, "a", "5")
    server.publish(publisher, "b", "-6")
    server.publish(publisher, "b", "-5")
    assert told(publisher) == [
        "STORED|id=a|seq=1",
        "ERROR|code=field|id=b|channel=main|closed=1",
        "STORED|id=b|seq=3",
    ]
    assert entries(server)[1] == ("GBPUSD", "", "0", "")


@pytest.mark.parametrize("held", [False, True])
def test_an_order_that_becomes_a_position_is_closed_and_opened_each_judged_alone(serve, held):
    server = serve(f"{RAILS}.max_change=1")
    publisher = server.greet()
    server.disk.held = held
    order = {"ticket": "7", "type": "buy_limit"}
    server.publish(publisher, "a", "1", **order)
    server.publish(publisher, "b", "2", **order)
    server.publish(publisher, "c", "1", ticket="7")
    server.publish(publisher, "d", "0.5", ticket="7", type="buy_stop")
    server.publish(publisher, "e", "1.6", ticket="7")
    server.disk.work()
    assert codes(publisher) == ["a", "b", "c", "d", "field+"]
    assert state(server) == {}


def test_a_reversal_is_judged_against_what_earlier_drafts_of_the_commit_have_set(serve):
    server = serve(f"{RAILS}.max_change=2")
    publisher = server.greet()
    server.disk.held = True
    server.publish(publisher, "x", "1", symbol="X")
    for number, volume in enumerate(["2", "4", "1", "-3", "-3", "-2"]):
        server.publish(publisher, f"n{number}", volume)
    server.disk.work()
    assert codes(publisher) == ["x", "n0", "n1", "n2", "field+", "field", "n5"]
    assert state(server)["GBPUSD", ""] == "-2"


def test_volume_0_without_ticket_closes_every_ticket_in_one_commit(serve):
    server = serve()
    publisher, follower = server.greet(), server.subscribe()
    server.publish(publisher, "a", "1", ticket="8")
    server.publish(publisher, "b", "2", ticket="7", type="buy_limit")
    told(follower)
    server.disk.held = True
    server.publish(publisher, "c", "0")
    assert len(server.disk.calls) == 1
    server.disk.work()
    assert told(publisher)[-1] == "STORED|id=c|seq=5"
    assert told(follower) == [
        "SIGNAL|channel=main|seq=3|symbol=GBPUSD|volume=0|ticket=8",
        "SIGNAL|channel=main|seq=4|symbol=GBPUSD|volume=0|ticket=7",
        "SIGNAL|channel=main|seq=5|symbol=GBPUSD|volume=0",
    ]
    server.disk.held = False
    server.publish(publisher, "c", "0")
    assert told(publisher) == ["STORED|id=c|seq=5"]
    assert state(server) == {}


@pytest.mark.parametrize(
    ("frame", "after"),
    [
        ("3", {("GBPUSD", "7"): "1", ("GBPUSD", "8"): "2", ("GBPUSD", "9"): "5"}),
        ("2.5", {("GBPUSD", ""): "2.5"}),
        ("0", {}),
        ("4", {("GBPUSD", ""): "4"}),
        ("-1", {("GBPUSD", ""): "-1"}),
    ],
)
def test_a_classic_net_volume_turns_a_symbol_by_ticket_into_netting(serve, frame, after):
    server = serve()
    by_ticket(server)
    server.dial().send(f"<<GBPUSD|{frame}>>".encode())
    assert state(server) == after
    assert server.signals.positions("main")["GBPUSD"].volume == Decimal(frame)


@pytest.mark.parametrize(
    ("frame", "after"),
    [
        ("2.5", {("GBPUSD", ""): "2.5"}),
        ("0", {}),
        ("4", {("GBPUSD", "7"): "1", ("GBPUSD", "8"): "2", ("GBPUSD", "9"): "5"}),
        ("-1", {}),
    ],
)
def test_over_all_tickets_a_classic_frame_is_judged_as_the_net_position(serve, frame, after):
    server = serve()
    by_ticket(server)
    Pauses(server.signals).pause("main", "close_only")
    server.dial().send(f"<<GBPUSD|{frame}>>".encode())
    assert state(server) == after


def by_ticket(server):
    publisher = server.greet()
    for ticket, volume, more in (
        ("7", "1", {}),
        ("8", "2", {}),
        ("9", "5", {"type": "buy_limit"}),
    ):
        server.publish(publisher, f"t{ticket}", volume, ticket=ticket, **more)
    publisher.send(b"<<BYE>>")


def test_other_than_0_without_a_ticket_is_refused_in_dialect_2_while_tickets_stand(serve):
    server = serve()
    by_ticket(server)
    assert publish(server, ("1", {})) == ["field"]
    assert len(state(server)) == 3


def test_a_full_channel_takes_every_reduction(serve):
    server = serve("signals.max_symbols=2", "signals.max_positions=2")
    first = publish(server, ("2", {"ticket": "1"}), ("2", {"ticket": "2"}), ("1", {"ticket": "3"}))
    assert first == ["n0", "n1", "field"]
    publisher = server.greet()
    for identity, volume, fields in [
        ("a", "1", {"ticket": "1"}),
        ("b", "3", {"ticket": "2"}),
        ("c", "1", {"ticket": "9"}),
        ("d", "0", {"ticket": "9"}),
        ("e", "0", {"ticket": "2"}),
        ("f", "1", {"ticket": "9"}),
        ("g", "-1", {"ticket": "9"}),
        ("h", "0", {"symbol": "X"}),
        ("i", "0", {"symbol": "Y"}),
        ("j", "1", {"symbol": "Z"}),
    ]:
        server.publish(publisher, identity, volume, **fields)
    assert codes(publisher) == ["a", "b", "field", "d", "e", "f", "g", "h", "i", "field"]
    assert Status(server.signals).health()["full"] == ["main"]


def test_positions_that_commits_of_many_drafts_open_and_close_are_counted(serve):
    server = serve("signals.max_positions=2")
    publisher = server.greet()
    server.disk.held = True
    server.publish(publisher, "x", "1", symbol="X")
    for number, (ticket, volume) in enumerate(
        [("1", "1"), ("2", "1"), ("1", "0"), ("2", "1"), ("2", "2"), ("3", "1")]
    ):
        server.publish(publisher, f"n{number}", volume, ticket=ticket)
    server.disk.work()
    assert codes(publisher) == ["x", "n0", "field", "n2", "n3", "n4", "field"]


def test_unknown_symbols_that_are_told_flat_fill_no_channel(serve):
    server = serve("signals.max_symbols=2")
    master = server.dial()
    for number in range(9):
        master.send(f"<<S{number}|0>>".encode())
    assert len(server.signals.positions("main")) == 2
    assert publish(server, *(("0", {"symbol": f"T{n}"}) for n in range(9)))[-1] == "n8"
    assert len(server.signals.positions("main")) == 2
    assert len(serve("signals.max_symbols=9").signals.positions("main")) == 2


def test_one_signal_costs_the_same_however_many_tickets_a_symbol_has(serve, monkeypatch):
    """Counted in additions: a sum over all tickets would add them all."""
    counted, count, sum_up = [], book._counted, transitions._net
    monkeypatch.setattr(book, "_counted", lambda entry: counted.append(1) or count(entry))
    monkeypatch.setattr(transitions, "_net", lambda held: counted.append(len(held)) or sum_up(held))
    server = serve()
    publisher = server.greet()
    for number in range(200):
        server.publish(publisher, f"n{number}", "1", ticket=f"{number}")
    counted.clear()
    server.publish(publisher, "last", "2", ticket="7")
    assert sum(counted) <= 2


# When a position was opened


def opened(server, position=-1):
    entry = server.entries()[position]
    return entry.opened, entry.popened


def test_what_changes_a_position_says_when_it_was_opened(serve, clock):
    server = serve()
    publisher = server.greet()
    server.publish(publisher, "a", "1", time="5")
    first = opened(server)
    assert first == (5, 5)
    for identity, volume in (("b", "2"), ("c", "0.5"), ("d", "0.5"), ("e", "0")):
        clock.advance(1)
        server.publish(publisher, identity, volume, time="9")
        assert opened(server) == first
    server.publish(publisher, "f", "1")
    assert opened(server) == (server.env.now(), None)
    follower = server.subscribe()
    position = next(f for f in follower.received().split(b"\r\n") if b"POSITION" in f)
    assert f"|opened={server.env.now()}".encode() in position
    assert b"popened" not in position


def test_a_publisher_whose_clock_is_ahead_opens_nothing_in_the_future(serve):
    server = serve()
    server.publish(server.greet(), "a", "1", time="9000000000000")
    assert opened(server) == (server.env.now(), 9_000_000_000_000)


@pytest.mark.parametrize(
    ("volume", "more"), [("-1", {}), ("1", {"type": "position", "ticket": "7"})]
)
def test_a_reversal_and_the_fill_of_an_order_open_anew(serve, clock, volume, more):
    server = serve()
    publisher = server.greet()
    kind = {"ticket": "7", "type": "buy_limit"} if more else {}
    server.publish(publisher, "a", "1", **kind)
    clock.advance(1)
    server.publish(publisher, "b", volume, **more)
    assert opened(server) == (server.env.now(), None)


def test_netting_keeps_the_opening_of_the_oldest_ticket(serve, clock):
    server = serve()
    by_ticket(server)
    first = opened(server, 0)
    clock.advance(1)
    server.dial().send(b"<<GBPUSD|2>>")
    assert opened(server) == first
