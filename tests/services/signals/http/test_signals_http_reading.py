"""Channels by HTTP, and their signals by long poll."""

import pytest
from fakes.daemon import basic
from fakes.http import Answer, request
from signals_web import signal

from mtnet.errors import JournalError
from mtnet.interfaces import IControlCommands, IParticipants
from mtnet.services.signals.http import expiry


def answer(terminal):
    terminal.clock.advance(0)  # polls that are woken are answered in slices
    return Answer(terminal.received())


def volumes(found):
    return [(each["seq"], each["symbol"], each["volume"]) for each in found.json["signals"]]


# The list, and one


def test_a_channel_without_signals_is_listed_and_holds_nothing(web):
    (row,) = web.ask("GET", "/v1/channels").json
    assert (row["channel"], row["seq"], row["positions"], row["followers"]) == ("main", 0, 0, 0)
    assert (row["epoch"], row["paused"], row["publisher"]["up"]) == (web.epoch(), None, False)
    found = web.ask("GET", "/v1/channels/main").json
    assert (found["seq"], found["h"], found["positions"]) == (0, "0" * 8, [])


def test_a_channel_is_told_with_every_field_of_its_positions(web):
    web.post(
        signal("a", "XAUUSD", "0.30", ticket="77", price="4000.10", sl=3990.5, tp="4100",
               magic=-5, comment="é|<", time=1700000000000),
        signal("b", "EURUSD", -1, type="sell_limit", price="1.09870"),
    )  # fmt: skip
    now = web.env.now()
    found = web.ask("GET", "/v1/channels/main").json
    assert found["positions"] == [
        {"seq": 1, "symbol": "XAUUSD", "volume": "0.30", "time": now, "ticket": "77",
         "comment": "é|<", "magic": "-5", "price": "4000.10", "ptime": 1700000000000,
         "sl": "3990.5", "tp": "4100", "opened": 1700000000000, "popened": 1700000000000},
        {"seq": 2, "symbol": "EURUSD", "volume": "-1", "time": now, "type": "sell_limit",
         "price": "1.09870", "opened": now},
    ]  # fmt: skip
    assert (found["seq"], found["publisher"]["up"], found["paused"]) == (2, True, None)


@pytest.mark.parametrize("path", ["", "/signals", "/signals?epoch=0&after=1"])
def test_an_unknown_channel_is_404(web, path):
    assert web.ask("GET", f"/v1/channels/gold{path}").status in (404, 422)
    assert web.ask("GET", "/v1/channels/gold").error == (404, "channel")


def test_a_journal_that_cannot_be_read_is_named_in_the_log_alone(web, monkeypatch, warnings):
    def fail(*_):
        raise JournalError("/srv/signals.sqlite does not give its rows.")

    web.post(signal("a"))
    monkeypatch.setattr(web.signals.worker.journal, "read", fail)
    found = web.read(web.behind(0))
    assert found.error == (503, "server")
    assert "signals.sqlite" not in found.json["text"]
    (refusal,) = [each for each in warnings() if each.get("uri")]
    assert refusal["error"] == "/srv/signals.sqlite does not give its rows."


def test_only_channels_of_a_login_are_listed(ask_as):
    for name in ("gold", "main"):
        body = {"publisher": "p", "signals": [signal("a")]}
        assert ask_as("alice", "POST", f"/v1/channels/{name}/signals", body).status == 200
    listed = [each["channel"] for each in ask_as("bob", "GET", "/v1/channels").json]
    assert listed == ["gold"]
    assert len(ask_as("alice", "GET", "/v1/channels").json) == 2
    assert ask_as("bob", "GET", "/v1/channels/gold").status == 200
    assert ask_as("bob", "GET", "/v1/channels/main").error == (403, "denied")
    assert ask_as("bob", "GET", "/v1/channels/main/signals").error == (403, "denied")
    assert ask_as("", "GET", "/v1/channels").error == (401, "login")
    assert ask_as("wendy", "GET", "/v1/channels").error == (403, "denied")


# Signals


def test_without_an_epoch_the_answer_is_a_snapshot(web):
    web.post(signal("a", "EURUSD", "1"), signal("b", "GBPUSD", "2"), signal("c", "EURUSD", "0"))
    found = web.read().json
    assert [each["symbol"] for each in found["snapshot"]] == ["GBPUSD"]
    assert (found["epoch"], found["seq"], found["last"]) == (web.epoch(), 3, 3)
    assert "signals" not in found
    assert "diverged" not in found


def test_signals_behind_one_are_told_in_order(web):
    web.post(*(signal(f"s{n}", volume=n) for n in range(1, 6)))
    found = web.read(web.behind(2))
    assert volumes(found) == [(n, "EURUSD", str(n)) for n in (3, 4, 5)]
    last = found.json["signals"][-1]
    assert (found.json["seq"], found.json["h"], found.json["last"]) == (5, last["h"], 5)
    assert web.read(web.behind(5, f"&h={last['h']}")).json["signals"] == []


def test_a_limit_cuts_the_answer_and_says_so(web):
    web.post(*(signal(f"s{n}", volume=n) for n in range(1, 6)))
    found = web.read(web.behind(0, "&limit=2"))
    assert [each["seq"] for each in found.json["signals"]] == [1, 2]
    assert (found.json["seq"], found.json["last"]) == (2, 5)
    assert found.json["h"] == found.json["signals"][-1]["h"]


def test_what_a_filter_leaves_out_is_complete_too(web):
    web.post(*(signal(f"s{n}", symbol, n) for n, symbol in enumerate("ABABB", 1)))
    found = web.read(web.behind(0, "&symbols=A"))
    assert volumes(found) == [(1, "A", "1"), (3, "A", "3")]
    assert (found.json["seq"], found.json["last"]) == (5, 5)
    assert found.json["h"] == web.ask("GET", "/v1/channels/main").json["h"]
    assert web.read("?symbols=B").json["snapshot"][0]["symbol"] == "B"
    assert web.read(web.behind(0, "&symbols=")).error == (422, "field")


def test_a_history_of_its_own_gets_a_snapshot_and_is_recorded(web):
    web.post(signal("a"))
    h = web.ask("GET", "/v1/channels/main").json["h"]
    assert web.read(web.behind(1, f"&h={h}")).json["signals"] == []
    assert web.read(web.behind(1, "&h=00000000")).json["diverged"] is True
    assert "hash 00000000" in web.ask("GET", "/healthz").json["trouble"][0]
    found = web.read(web.behind(7)).json
    assert (found["diverged"], found["seq"], len(found["snapshot"])) == (True, 1, 1)
    # Once an epoch has diverged, a number without its h proves nothing.
    assert "snapshot" in web.read(web.behind(1)).json


def test_another_epoch_gets_a_snapshot(web):
    web.post(signal("a"))
    found = web.read("?epoch=00000000deadbeef&after=1").json
    assert "snapshot" in found
    assert "diverged" not in found


def test_pages_are_read_from_the_disk_without_a_hole(web):
    for start in range(0, 1_200, 100):
        web.post(*(signal(f"s{n}", volume=n % 50 + 1) for n in range(start, start + 100)))
    seqs, after = [], 0
    while after < 1_200:
        found = web.read(web.behind(after, "&limit=700")).json
        seqs += [each["seq"] for each in found["signals"]]
        after = found["seq"]
    assert seqs == list(range(1, 1_201))


# Waiting


def test_a_poll_waits_for_the_next_signal(web):
    web.post(signal("a"))
    web.read(web.behind(1))
    terminal = web.wait(web.behind(1, "&wait=10"))
    assert terminal.received() == b""
    web.post(signal("b", volume="2"))
    assert volumes(answer(terminal)) == [(2, "EURUSD", "2")]


def test_a_poll_of_other_symbols_sleeps_on_and_then_says_how_far_it_is(web, clock):
    web.post(signal("a"))
    web.read(web.behind(1, "&symbols=GBPUSD"))
    terminal = web.wait(web.behind(1, "&symbols=GBPUSD&wait=10"))
    web.post(signal("b", volume="2"))
    assert terminal.received() == b""
    clock.advance(10)
    found = answer(terminal)
    assert (found.json["signals"], found.json["seq"]) == ([], 2)


def test_a_follower_that_knows_who_publishes_waits_and_another_does_not(web):
    web.post(signal("a"))
    # The first answer tells the publisher and the pause; it does not wait.
    assert answer(web.wait(web.behind(1, "&wait=10"))).json["publisher"]["up"] is True
    assert web.wait(web.behind(1, "&wait=10")).received() == b""


@pytest.mark.parametrize("name", ["pause", "freeze", "flatten"])
def test_a_pause_wakes_a_poll(web, name):
    web.post(signal("a"))
    web.read(web.behind(1))
    terminal = web.wait(web.behind(1, "&wait=10"))
    web.pause(name)
    assert answer(terminal).json["paused"] == ("frozen" if name == "freeze" else "close_only")


def test_a_pause_between_two_polls_is_told_at_once(web):
    web.post(signal("a"))
    web.read(web.behind(1))
    web.pause("pause")
    assert answer(web.wait(web.behind(1, "&wait=10"))).json["paused"] == "close_only"


def test_a_publisher_that_goes_wakes_a_poll(web, clock):
    web.post(signal("a"))
    web.read(web.behind(1))
    terminal = web.wait(web.behind(1, "&wait=60"))
    clock.advance(31)
    found = answer(terminal).json
    assert found["publisher"] == {"up": False, "since": web.env.now()}


def test_a_new_epoch_wakes_a_poll(web):
    web.post(signal("a"))
    web.read(web.behind(1))
    before = web.behind(1, "&wait=10")
    terminal = web.wait(before)
    commands = web.env.find_all(IControlCommands)["signals"].commands()
    commands["signals accept"]({"channel": "main", "new_epoch": True})
    found = answer(terminal).json
    assert found["epoch"] == web.epoch()
    assert found["epoch"] not in before
    assert len(found["snapshot"]) == 1


def test_a_withdrawn_login_ends_a_poll(ask_as, clock):
    body = {"publisher": "p", "signals": [signal("a")]}
    ask_as("alice", "POST", "/v1/channels/gold/signals", body)
    epoch = ask_as("bob", "GET", "/v1/channels/gold").json["epoch"]
    path = f"/v1/channels/gold/signals?epoch={epoch}&after=1"
    ask_as("bob", "GET", path)
    daemon = ask_as.daemon
    terminal = daemon.dial("web")
    terminal.clock = clock
    terminal.send(request("GET", f"{path}&wait=10", Authorization=basic("bob").decode()))
    clock.advance(0)
    assert terminal.received() == b""
    ask_as.grant("bob", "read:status")
    assert answer(terminal).error == (401, "login")


def test_a_poll_of_a_follower_that_makes_room_is_answered_and_misses_nothing(web, monkeypatch):
    monkeypatch.setattr(expiry, "MAX_PRESENT", 1)
    web.post(signal("a"))
    web.read(web.behind(1, "&name=first"))
    terminal = web.wait(web.behind(1, "&name=first&wait=10"))
    web.read(web.behind(1, "&name=second"))
    web.clock.advance(0)
    assert answer(terminal).json["signals"] == []


def test_a_client_that_leaves_is_waited_for_no_longer(web, clock):
    web.post(signal("a"))
    web.read(web.behind(1))
    timers = len(clock.getDelayedCalls())
    terminal = web.wait(web.behind(1, "&wait=60"))
    terminal.hang_up()
    assert len(clock.getDelayedCalls()) == timers
    web.post(signal("b"))


def test_a_waiting_poll_costs_no_timer_for_a_signal(web, clock):
    web.post(signal("a"))
    web.read(web.behind(1, "&symbols=GBPUSD"))
    web.wait(web.behind(1, "&symbols=GBPUSD&wait=10"))
    web.post(*(signal(f"b{n}") for n in range(50)))
    assert [str(each).count("LongPoll.notify") for each in clock.getDelayedCalls()].count(1) == 1


def test_waiting_counts_as_a_follower_and_so_does_asking_again(web, clock):
    web.post(signal("a"))
    web.read(web.behind(1, "&name=desk"))
    web.wait(web.behind(1, "&name=desk&wait=60"))
    clock.advance(59)
    (row,) = [each for each in rows(web) if each["role"] == "follower"]
    assert (row["who"], row["connected"]) == ("desk", True)
    assert web.ask("GET", "/v1/channels").json[0]["followers"] == 1
    clock.advance(32)
    assert web.ask("GET", "/v1/channels").json[0]["followers"] == 0


def rows(web):
    return [each.row() for each in web.env.find(IParticipants).participants()]


# Views


def test_the_name_main_of_an_account_is_its_view(ask_as):
    view = {"view": "half", "settings": {"sources": ["gold"], "value": 0.5, "accounts": ["bob"]}}
    body = {"publisher": "p", "signals": [signal("a", volume="2")]}
    ask_as("alice", "POST", "/v1/channels/gold/signals", body)
    assert ask_as("root", "POST", "/v1/views", view).status == 201
    ask_as.grant("bob", "follow:signals/half")
    body["signals"] = [signal("b", "GBPUSD", "2")]
    ask_as("alice", "POST", "/v1/channels/gold/signals", body)
    found = ask_as("bob", "GET", "/v1/channels/main").json
    assert found["channel"] == "main"
    assert [(each["symbol"], each["volume"]) for each in found["positions"]] == [("GBPUSD", "1")]
    assert [each["channel"] for each in ask_as("bob", "GET", "/v1/channels").json] == ["main"]
    assert ask_as("bob", "GET", "/v1/channels/gold").status == 403


def test_the_follower_of_a_view_is_told_its_limits(web):
    settings = {"sources": ["main"], "max_age": 30, "max_slippage": 0.0005}
    web.ask("POST", "/v1/views", {"view": "half", "settings": settings})
    found = web.read(channel="half").json
    assert (found["max_age"], found["max_slippage"]) == (30, "0.0005")


def waiting_poll(web):
    """Wait for news of a view as one who knows all of it."""
    epoch = web.signals.channel("half").epoch
    return web.wait(f"?epoch={epoch}&after=0&wait=10", "half")


def edit_age(web, age):
    web.ask("PUT", "/v1/views/half", {"settings": {"max_age": age}})


def test_an_edit_of_its_limits_wakes_a_poll_and_is_told_to_the_next_one(web):
    web.ask("POST", "/v1/views", {"view": "half", "settings": {"sources": ["main"]}})
    answer(waiting_poll(web))
    terminal = waiting_poll(web)
    assert terminal.received() == b""
    edit_age(web, 30)
    assert answer(terminal).json["max_age"] == 30
    edit_age(web, 20)
    assert answer(waiting_poll(web)).json["max_age"] == 20


def test_a_view_that_monitors_cannot_be_followed(web):
    web.ask("POST", "/v1/views", {"view": "half", "settings": {"sources": ["main"]}})
    web.ask("POST", "/v1/views/half/monitor")
    assert web.read(channel="half").error == (403, "denied")


def test_a_position_of_every_symbol_survives_the_query(web):
    web.post(signal("a", "A,B"), signal("b", "BTC/USDT:USDT"), signal("c", "Газпром"))
    found = web.read("?symbols=A%252CB").json
    assert [each["symbol"] for each in found["snapshot"]] == ["A,B"]
    assert web.held() == {"A,B": "1", "BTC/USDT:USDT": "1", "Газпром": "1"}
