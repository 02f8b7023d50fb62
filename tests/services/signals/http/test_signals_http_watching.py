"""What people look at by HTTP: fills, equity, and track records."""

import pytest
from fakes.http import Answer, request
from signals_web import signal

from mtnet.services.signals.record import reader, stream


def fills(web, channel="main"):
    return web.ask("GET", f"/v1/channels/{channel}/fills").json


def test_fills_stand_beside_the_price_of_the_provider(web):
    web.post(signal("a", price="1.10000"), signal("b", "GBPUSD"))
    acks = [{"seq": 1, "status": "filled", "price": "1.10012"}, {"seq": 2, "status": "failed"}]
    web.ask("POST", "/v1/channels/main/acks", {"acks": acks, "name": "desk"})
    now = web.env.now()
    common = {"stored": now, "volume": "1"}
    assert fills(web) == [
        {**common, "seq": 1, "symbol": "EURUSD", "price": "1.10000", "filled": 1, "failed": 0,
         "fills": [{"who": "desk", "price": "1.10012", "time": now}]},
        {**common, "seq": 2, "symbol": "GBPUSD", "price": "", "filled": 0, "failed": 1,
         "fills": []},
    ]  # fmt: skip


def test_a_channel_that_nobody_acknowledges_has_no_fills(web):
    assert fills(web) == []
    assert web.ask("GET", "/v1/channels/none/fills").error == (404, "channel")


def test_fills_are_for_those_who_see_followers_and_may_follow(ask_as):
    body = {"publisher": "p", "signals": [signal("a")]}
    ask_as("alice", "POST", "/v1/channels/gold/signals", body)
    path = "/v1/channels/gold/fills"
    for name in ("bob", "wendy"):
        assert ask_as(name, "GET", path).error == (403, "denied")
    assert ask_as("root", "GET", path).json == []


# Equity


def test_the_equity_of_a_terminal_is_a_line_for_admins(ask_as):
    for equity in ("990.50", "991.75"):
        ask_as("bob", "POST", "/v1/report", {"name": "desk", "equity": equity})
    now = ask_as.daemon.env.now()
    path = "/v1/equity?terminal=bob%2Fdesk"
    assert ask_as("root", "GET", path).json == [[now, "991.75"]]
    assert ask_as("bob", "GET", path).error == (403, "denied")
    assert ask_as("root", "GET", "/v1/equity?terminal=bob").error == (404, "missing")


# Slippage


def test_what_worse_prices_cost_a_follower_is_for_admins(ask_as):
    body = {"publisher": "p", "signals": [signal("a", price="1.10000")]}
    ask_as("alice", "POST", "/v1/channels/gold/signals", body)
    spec = {"symbol": "EURUSD", "tick": "0.00001", "tickvalue": 1, "currency": "USD"}
    ask_as("bob", "POST", "/v1/spec", {**spec, "name": "desk"})
    acks = [{"seq": 1, "status": "filled", "price": "1.10012"}]
    ask_as("bob", "POST", "/v1/channels/gold/acks", {"acks": acks, "name": "desk"})
    assert ask_as("root", "GET", "/v1/slippage").json == [
        {"who": "bob/desk", "channel": "gold", "fills": 1, "points": "12.0", "cost": "12.00",
         "currency": "USD"},
    ]  # fmt: skip
    assert ask_as("bob", "GET", "/v1/slippage").error == (403, "denied")


# Records


def record(web, channel="main"):
    terminal = web.dial()
    terminal.send(request("GET", f"/v1/channels/{channel}/record"))
    for _ in range(20):
        web.clock.advance(0)
    return Answer(terminal.received())


def trade(web, number, opening, closing):
    web.post(signal(f"o{number}", price=opening), signal(f"c{number}", volume=0, price=closing))


def test_a_record_has_sums_months_trades_and_its_proof(web):
    trade(web, 1, "1.10000", "1.10250")
    trade(web, 2, "1.10000", "1.09900")
    found = record(web).json
    assert (found["channel"], found["epoch"], found["last"]) == ("main", web.epoch(), 4)
    assert (found["complete"], found["open"]) == (True, 0)
    total = found["total"]
    assert (total["trades"], total["won"], total["points"]) == (2, 1, "150.0")
    assert [each["trades"] for each in found["months"]] == [2]
    assert [each["points"] for each in found["trades"]] == ["-100.0", "250.0"]


def test_a_record_goes_on_from_where_it_was(web, monkeypatch):
    read = []
    take = stream.RecordStream.take
    monkeypatch.setattr(
        stream.RecordStream, "take", lambda self, each: (read.append(1), take(self, each))
    )
    trade(web, 1, "1.10000", "1.10250")
    record(web)
    trade(web, 2, "1.10000", "1.10250")
    assert record(web).json["total"]["points"] == "500.0"
    assert len(read) == 4


def test_points_follow_from_all_prices_also_from_those_that_come_later(web):
    trade(web, 1, "1.1", "1.2")
    assert record(web).json["total"]["points"] == "1.0"
    trade(web, 2, "1.10000", "1.10250")
    assert record(web).json["total"]["points"] == "10250.0"


def test_a_long_record_is_read_in_pieces_and_names_its_newest_trades(web, monkeypatch):
    monkeypatch.setattr(reader, "PIECE", 3)
    monkeypatch.setattr(stream, "NEWEST", 2)
    for number in range(5):
        trade(web, number, "1.1", "1.2")
    found = record(web).json
    assert (found["total"]["trades"], [each["last"] for each in found["trades"]]) == (5, [10, 8])


def test_only_so_many_records_are_remembered(web, monkeypatch):
    monkeypatch.setattr(reader, "KEPT", 0)
    trade(web, 1, "1.1", "1.2")
    assert [record(web).json["total"]["trades"] for _ in range(2)] == [1, 1]


def test_a_record_is_for_those_who_may_follow(ask_as):
    body = {"publisher": "p", "signals": [signal("a")]}
    ask_as("alice", "POST", "/v1/channels/main/signals", body)
    assert ask_as("bob", "GET", "/v1/channels/main/record").error == (403, "denied")
    assert ask_as("alice", "GET", "/v1/channels/main/record").json["open"] == 1


@pytest.mark.parametrize("channel", ["main", "none"])
def test_there_is_no_record_of_nothing(web, channel):
    assert record(web, channel).error == (404, "channel")
