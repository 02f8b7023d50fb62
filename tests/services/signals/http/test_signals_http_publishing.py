"""Signals by POST, whole states by PUT, and who may publish."""

from decimal import Decimal

import pytest
from fakes.ports import FakePort
from signals_web import Web, at, signal

from mtnet.errors import WireError
from mtnet.net.endpoints import Listener
from mtnet.services.signals.ownership import policy_store
from mtnet.services.signals.wire import requests
from mtnet.session import messages
from mtnet.testing import make_environment

HELD = 86_400
"""Seconds for which a publisher by HTTP holds its channel."""


def fates(answer):
    return [each.get("seq") or each["error"] for each in answer.json]


# POST


def test_signals_are_answered_once_they_are_on_disk(web):
    answer = web.post(signal("a"), signal("b", "GBPUSD", -0.5))
    assert (answer.status, answer.json) == (200, [{"id": "a", "seq": 1}, {"id": "b", "seq": 2}])
    assert web.held() == {"EURUSD": "1", "GBPUSD": "-0.5"}


def test_each_signal_is_judged_alone_and_the_first_refused_gives_the_status(web):
    answer = web.post(
        signal("a"), signal("b", volume="x"), signal("c", "GBPUSD"), signal("", "A"), {"id": "d"}
    )
    assert (answer.status, fates(answer)) == (422, [1, "field", 2, "field", "field"])
    assert "0.25" in answer.json[1]["text"]


def test_a_signal_that_is_sent_again_is_stored_once(web):
    assert fates(web.post(signal("a", volume="1.10"))) == [1]
    assert fates(web.post(signal("a", volume=1.1))) == [1]
    answer = web.post(signal("a", volume="2"))
    assert (answer.status, fates(answer)) == (409, ["id"])
    assert web.signals.channel("main").seq == 1


def test_a_channel_begins_with_its_first_signal(web):
    assert web.ask("GET", "/v1/channels/gold").status == 404
    assert web.post(channel="gold").json == []
    assert web.ask("GET", "/v1/channels/gold").status == 404
    assert fates(web.post(signal("a"), channel="gold")) == [1]
    assert web.held("gold") == {"EURUSD": "1"}


def test_of_a_change_of_sign_the_closing_is_stored(web):
    web.post(signal("a"))
    web.pause("pause")
    answer = web.post(signal("b", volume="-1"))
    assert (answer.status, answer.json[0]["error"], answer.json[0]["closed"]) == (
        403, "denied", True,
    )  # fmt: skip
    assert web.held() == {}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"signals": []}, "publisher"),
        ({"publisher": "", "signals": []}, "publisher"),
        ({"publisher": "p" * 65, "signals": []}, "publisher"),
        ({"publisher": "p"}, "signals"),
        ({"publisher": "p", "signals": [signal(f"s{n}") for n in range(101)]}, "signals"),
        ({"publisher": "p", "signals": [{"id": ["a"]}]}, "signals[0].id"),
    ],
)
def test_a_body_of_another_shape_stores_nothing(web, body, where):
    answer = web.ask("POST", "/v1/channels/main/signals", body)
    assert answer.error == (422, "field")
    assert where in answer.json["text"]
    assert web.signals.channel("main").seq == 0


def test_a_terminal_sends_a_form_that_ends_with_nul(web):
    body = b'{"publisher":"mt4-1","signals":[{"id":"1","symbol":"EURUSD","volume":0.10}]}\0'
    headers = {
        "Accept": "*/*",
        "Accept_Encoding": "gzip, deflate",
        "Accept_Language": "ru,en;q=0.5",
        "User_Agent": "MetaTrader 5 Terminal/5.5120 (Windows NT 10.0.19045; x64)",
        "Content_Type": "application/x-www-form-urlencoded",
    }
    answer = web.ask("POST", "/v1/channels/main/signals", body, **headers)
    assert (answer.status, answer.json) == (200, [{"id": "1", "seq": 1}])
    assert "content-length" in answer.headers
    assert "transfer-encoding" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


def test_a_view_takes_no_signals(web):
    web.ask("POST", "/v1/views", {"view": "half", "settings": {"sources": ["main"]}})
    answer = web.post(signal("a"), channel="half")
    assert (answer.status, fates(answer)) == (403, ["denied"])
    assert web.put(1, at("EURUSD"), channel="half").error == (403, "denied")


# PUT


def test_a_whole_state_becomes_the_differences(web):
    web.post(signal("a", "EURUSD"), signal("b", "GBPUSD", "2"), signal("c", "USDJPY", "3"))
    answer = web.put(1, at("USDJPY", "1"), at("AUDUSD", "5"), at("GBPUSD", "2.00"))
    assert (answer.status, answer.json["stored"], answer.json["refused"]) == (200, 3, [])
    assert (answer.json["seq"], answer.json["paused"]) == (6, None)
    assert web.held() == {"GBPUSD": "2", "USDJPY": "1", "AUDUSD": "5"}
    found = web.read(web.behind(3)).json["signals"]
    # Closings, then reductions, then the rest.
    assert [each["symbol"] for each in found] == ["EURUSD", "USDJPY", "AUDUSD"]
    assert answer.json["h"] == found[-1]["h"]


def test_a_state_as_it_stands_stores_nothing(web):
    web.put(1, at("EURUSD", "1", sl="1.10", magic=7, comment="x"))
    same = web.put(2, at("EURUSD", "1.0", sl=1.1, magic="7", comment="x", time=1700000000000))
    assert same.json["stored"] == 0
    assert web.put(3, at("EURUSD", "1", magic=7, comment="x")).json["stored"] == 1


def test_a_state_that_was_refused_at_once_is_tried_again_when_it_comes_again(web, monkeypatch):
    web.put(1, at("EURUSD", "1"))
    with monkeypatch.context() as damaged:

        def refuse(*asked):
            raise WireError("server", "The channel is damaged.")

        damaged.setattr(web.signals, "replace", refuse)
        assert web.put(2, at("EURUSD", "2")).error == (503, "server")
    assert web.put(2, at("EURUSD", "2")).json["stored"] == 1


def test_a_state_speaks_for_its_symbols_alone(web):
    web.post(signal("a", "EURUSD"), signal("b", "GBPUSD", "2"))
    assert web.put(1, at("EURUSD", "3"), symbols=["EURUSD", "USDJPY"]).json["stored"] == 1
    assert web.held() == {"GBPUSD": "2", "EURUSD": "3"}
    assert web.put(2, symbols=["EURUSD"], flat=True).json["stored"] == 1
    assert web.held() == {"GBPUSD": "2"}
    assert web.put(3, at("GBPUSD"), symbols=["EURUSD"]).error == (422, "field")


def test_positions_by_ticket_follow_a_net_position_and_the_other_way_round(web):
    web.put(1, at("EURUSD", "1"))
    assert (
        web.put(2, at("EURUSD", "1", ticket="5"), at("EURUSD", "-2", ticket="6")).json["refused"]
        == []
    )
    assert web.held() == {"EURUSD5": "1", "EURUSD6": "-2"}
    assert web.put(3, at("EURUSD", "4")).json["stored"] == 3
    assert web.held() == {"EURUSD": "4"}


def test_nothing_held_is_said_in_so_many_words(web):
    web.put(1, at("EURUSD"))
    assert web.put(2).error == (422, "field")
    assert web.put(2, at("EURUSD", "0")).error == (422, "field")
    assert web.held() == {"EURUSD": "1"}
    assert web.put(2, flat=True).json["stored"] == 1
    assert web.held() == {}


def test_the_number_rises_and_an_equal_one_gets_the_same_answer(web):
    first = web.put(5, at("EURUSD"))
    assert web.put(5, at("EURUSD")).body == first.body
    assert web.put(4, at("EURUSD", "2")).error == (409, "id")
    assert web.put(5, at("EURUSD", "2")).error == (409, "id")
    assert web.held() == {"EURUSD": "1"}
    assert web.put(6, at("EURUSD", "2")).status == 200


def test_a_refused_opening_holds_up_no_closing(web):
    web.put(1, at("EURUSD"), at("USDJPY", "3"))
    web.pause("pause")
    answer = web.put(2, at("GBPUSD", "1"), at("USDJPY", "-1"))
    assert (answer.status, answer.json["stored"], answer.json["paused"]) == (200, 2, "close_only")
    refused = [
        (each["symbol"], each["error"], each.get("closed")) for each in answer.json["refused"]
    ]
    assert refused == [("USDJPY", "denied", True), ("GBPUSD", "denied", None)]
    assert web.held() == {}


def test_a_closing_that_freeze_refused_is_made_when_that_ends(web):
    web.put(1, at("EURUSD"), at("GBPUSD"))
    web.pause("freeze")
    answer = web.put(2, at("EURUSD"))
    assert [each["symbol"] for each in answer.json["refused"]] == ["GBPUSD"]
    web.pause("resume")
    assert web.held() == {"EURUSD": "1"}


def test_a_closing_that_freeze_refused_is_dropped_by_a_later_state(web):
    web.put(1, at("EURUSD"), at("GBPUSD"))
    web.pause("freeze")
    web.put(2, at("EURUSD"))
    web.put(3, at("EURUSD"), at("GBPUSD"))
    web.pause("resume")
    assert web.held() == {"EURUSD": "1", "GBPUSD": "1"}


def test_a_position_that_cannot_be_read_refuses_the_whole_state(web):
    web.put(1, at("EURUSD"))
    for positions in ([at("GBPUSD", "x")], [at("GBPUSD"), at("GBPUSD", "2")]):
        assert web.put(2, *positions).error == (422, "field")
    assert web.held() == {"EURUSD": "1"}


def test_a_state_begins_a_channel(web):
    assert web.put(1, at("EURUSD"), channel="gold").json["seq"] == 1
    assert web.held("gold") == {"EURUSD": "1"}


def test_a_limit_of_symbols_refuses_what_is_too_much(env_with):
    web = Web(env_with("signals.max_symbols=2"))
    answer = web.put(1, at("A"), at("B"), at("C"))
    assert (answer.json["stored"], len(answer.json["refused"])) == (2, 1)


# Who publishes


def test_a_signal_beside_the_publisher_of_a_channel_takes_nothing(web):
    assert fates(web.post(signal("a"), publisher="p1", beside=True)) == [1]
    assert fates(web.post(signal("b"), publisher="p2")) == [2]
    assert fates(web.post(signal("c", "GBPUSD"), publisher="p1", beside=True)) == [3]
    assert fates(web.post(signal("d"), publisher="p2")) == [4]


def test_a_sign_of_life_beside_the_publisher_of_a_channel_takes_nothing(web):
    assert fates(web.post(signal("a"), publisher="p2")) == [1]
    assert web.post(publisher="p1", beside=True).status == 200
    assert fates(web.post(signal("b"), publisher="p2")) == [2]


def test_another_publisher_is_fenced_until_it_takes(web):
    web.post(signal("a"), publisher="p1")
    answer = web.post(signal("b", "GBPUSD"), publisher="p2")
    assert (answer.status, fates(answer)) == (409, ["fenced"])
    assert web.put(1, at("GBPUSD"), publisher="p2").error == (409, "fenced")
    assert fates(web.post(signal("b", "GBPUSD"), publisher="p2", take=True)) == [2]
    assert fates(web.post(signal("c"), publisher="p1")) == ["fenced"]
    # It asks to take again, and is there again.
    assert web.post(publisher="p1").error == (409, "fenced")
    assert web.put(1, at("GBPUSD"), publisher="p1", take=True).status == 200
    assert web.post(publisher="p2").error == (409, "fenced")


def test_the_next_run_of_a_program_goes_on_without_taking(env_with, clock):
    web = Web(env_with())
    assert fates(web.post(signal("a"), publisher="run-1", name="nightly")) == [1]
    assert fates(web.post(signal("b"), publisher="run-2", name="nightly")) == [2]
    # The run before is fenced, also once it counts as gone, and when the daemon was restarted.
    assert web.post(publisher="run-1", name="nightly").error == (409, "fenced")
    clock.advance(100)
    assert web.post(publisher="run-1", name="nightly").error == (409, "fenced")
    web = Web(env_with())
    assert web.post(publisher="run-1", name="nightly").error == (409, "fenced")
    assert fates(web.post(signal("c"), publisher="run-3", name="nightly")) == [3]
    assert web.put(1, at("EURUSD"), publisher="run-1", name="nightly", take=True).status == 200
    assert web.post(publisher="run-3", name="nightly").error == (409, "fenced")


@pytest.mark.parametrize(
    "names", [("nightly", "daily"), ("nightly", ""), ("", "nightly"), ("", "")]
)
def test_other_programs_fence_each_other(web, names):
    first, second = names
    assert fates(web.post(signal("a"), publisher="p1", name=first)) == [1]
    assert fates(web.post(signal("b"), publisher="p2", name=second)) == ["fenced"]


def test_a_script_that_is_started_each_minute_goes_on_under_one_name(web, clock):
    for minute in range(3):
        n = clock.seconds() * 1000
        assert web.put(int(n), at("EURUSD", minute + 1), publisher="cron").status == 200
        clock.advance(60)
    assert web.held() == {"EURUSD": "3"}


def test_publishers_of_one_name_and_other_logins_are_others(ask_as):
    ask_as.grant("bob", "publish:signals")

    def publish(name, id):
        body = {"publisher": "p1", "signals": [signal(id)]}
        return ask_as(name, "POST", "/v1/channels/main/signals", body).status

    assert [publish("alice", "a"), publish("bob", "b")] == [200, 409]


def test_a_silent_publisher_is_down_and_still_holds_its_channel(web, clock):
    web.post(signal("a"))
    clock.advance(31)
    assert web.ask("GET", "/v1/channels/main").json["publisher"]["up"] is False
    assert fates(web.post(signal("b", "GBPUSD"), publisher="p2")) == ["fenced"]
    assert web.post().status == 200  # a sign of life
    assert web.ask("GET", "/v1/channels/main").json["publisher"]["up"] is True
    clock.advance(29)
    assert web.ask("GET", "/v1/channels/main").json["publisher"]["up"] is True


def test_a_channel_is_free_after_a_day(web, clock):
    web.post(signal("a"))
    for _ in range(HELD // 3600 + 1):
        clock.advance(3600)
    # It was answered nothing; nobody holds the channel now.
    assert fates(web.post(signal("b"), publisher="p2")) == [2]
    assert fates(web.post(signal("c"), publisher="p1")) == ["fenced"]


def test_who_holds_a_channel_is_known_after_a_restart(tmp_path, clock):
    web = Web(make_environment(tmp_path / "data", clock))
    web.put(7, at("EURUSD"))
    restarted = Web(make_environment(tmp_path / "data", clock))
    assert fates(restarted.post(signal("b"), publisher="p2")) == ["fenced"]
    assert restarted.put(6, at("EURUSD", "9")).error == (409, "id")
    again = restarted.put(7, at("EURUSD"))
    assert (again.json["seq"], again.json["stored"]) == (1, 0)
    assert again.json["publisher"]["up"] is True
    assert restarted.put(8, at("EURUSD", "2")).json["stored"] == 1


def test_a_whole_state_is_one_commit_and_no_other_file_is_written(web, monkeypatch):
    web.put(1, at("EURUSD"))  # the holder of the channel is kept in a file of its own
    written = []
    monkeypatch.setattr(policy_store, "replace_file", lambda path, data: written.append(path))
    assert web.put(2, at("EURUSD", "2")).json["stored"] == 1
    assert written == []


def test_a_fence_is_known_after_a_restart(tmp_path, clock):
    web = Web(make_environment(tmp_path / "data", clock))
    web.post(signal("a"), publisher="p1")
    web.post(signal("b"), publisher="p2", take=True)
    restarted = Web(make_environment(tmp_path / "data", clock))
    assert fates(restarted.post(signal("c"), publisher="p1")) == ["fenced"]


# Beside sessions and classic masters


def publish(terminal, id, **fields):
    """Let a session publish; return what it was answered."""
    terminal.send(requests.publish(requests.Publish(id, "EURUSD", Decimal(2), **fields)))
    return terminal.received().decode()


@pytest.fixture
def session(web):
    terminal = FakePort(web.env, Listener("signals", "tcp:8081")).dial()
    terminal.send(messages.hello(name="desk"))
    return terminal


def test_a_session_takes_a_channel_and_the_publisher_by_http_is_fenced(web, session):
    web.post(signal("a"))
    assert "STORED" in publish(session, "s1")
    assert fates(web.post(signal("b"))) == ["fenced"]
    assert fates(web.post(signal("b"), take=True)) == [3]
    assert "fenced" in session.received().decode()


@pytest.mark.parametrize("silence", [0, 3_600])
def test_a_session_that_takes_free_channels_takes_none_that_is_held_by_http(
    web, session, clock, silence
):
    web.post(signal("a"))
    clock.advance(silence)
    session.send(messages.hello(name="desk"))
    assert "code=fenced" in publish(session, "s1", take="free")
    assert "STORED" in publish(session, "s2", take="1")


def test_a_publisher_by_http_takes_no_channel_of_a_session_that_is_there(web, session):
    assert "STORED" in publish(session, "s1")
    assert fates(web.post(signal("a"))) == ["fenced"]
    session.hang_up()
    assert fates(web.post(signal("a"), publisher="p2")) == [2]


def test_classic_frames_are_not_heard_while_a_publisher_by_http_holds(web, clock):
    web.post(signal("a"))
    master = FakePort(web.env, Listener("signals", "tcp:8081")).dial()
    master.send(b"<<EURUSD|5.00>>")
    clock.advance(3_600)
    assert web.held() == {"EURUSD": "1"}
