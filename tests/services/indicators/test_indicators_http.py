"""Indicators by HTTP and as JSON over WebSocket."""

import runpy
from pathlib import Path

import pytest
from fakes.daemon import FakeDaemon, basic
from fakes.http import Answer, HttpPort, request
from fakes.websocket_bytes import WebSocketTerminal
from test_indicators_verbs import GRANTS, ON, calc, enter, follow, indicated, value

from mtnet.errors import JournalError
from mtnet.interfaces import IMetrics
from mtnet.net.endpoints import Listener
from mtnet.services.indicators.followed import NOT_READ
from mtnet.services.indicators.store import IndicatorStore
from mtnet.storage.sqlite import Database
from mtnet.testing import connect, make_environment

EXAMPLE = Path(__file__).parents[3] / "examples" / "indicators.py"
PATH = "/v1/indicators/RSI14/EURUSD/H1"


@pytest.fixture
def port(tmp_path, clock):
    return HttpPort(make_environment(tmp_path / "data", clock, ON))


@pytest.fixture
def daemon(tmp_path, clock):
    return FakeDaemon(tmp_path / "data", clock, ON, grants=GRANTS)


def ask(daemon, login, method, path, body=b""):
    port = HttpPort(daemon.env)
    return port.ask(method, path, body, Authorization=basic(login).decode())


def row(bar, *values, **more):
    return {"bar": bar, "values": list(values), **more}


def test_values_by_post_reach_those_who_follow_and_are_had_by_get(daemon):
    bob = enter(daemon, "bob")
    bob(follow())
    body = {"values": [row(1000, "55.30", None), row(2000, 44.2, open=True)]}
    sent = ask(daemon, "ann", "POST", PATH, body)
    assert (sent.status, sent.json) == (200, {"stored": 2, "too_old": 0})
    assert bob() == value(1000, b"55.30,") + value(2000, b"44.2", b"|open=1")
    found = ask(daemon, "bob", "GET", PATH).json
    assert found.pop("epoch")
    assert found == {"seq": 2, "values": [row(1000, "55.30", None), row(2000, "44.2", open=True)]}


def test_so_many_of_the_last_bars_are_told(port):
    port.ask("POST", PATH, {"values": [row(bar, "1") for bar in range(5)]})
    found = port.ask("GET", f"{PATH}?bars=2").json
    assert [each["bar"] for each in found["values"]] == [3, 4]


def test_behind_a_number_only_what_has_changed_is_told(port):
    port.ask("POST", PATH, {"values": [row(1, "1"), row(2, "2")]})
    first = port.ask("GET", PATH).json
    port.ask("POST", PATH, {"values": [row(1, "3")]})
    asked = f"{PATH}?epoch={first['epoch']}&after={first['seq']}"
    found = port.ask("GET", asked).json
    assert (found["seq"], found["values"]) == (3, [row(1, "3")])
    found = port.ask("GET", f"{PATH}?epoch={first['epoch']}&after=3").json
    assert (found["seq"], found["values"]) == (3, [])
    found = port.ask("GET", f"{PATH}?epoch=0123456789abcdef&after=3&wait=30").json
    assert len(found["values"]) == 2


def test_bars_that_are_too_old_are_counted(tmp_path, clock):
    port = HttpPort(make_environment(tmp_path / "data", clock, ON, "indicators.keep=1"))
    sent = port.ask("POST", PATH, {"values": [row(2, "1"), row(1, "1")]})
    assert (sent.status, sent.json) == (200, {"stored": 1, "too_old": 1})


def poll(daemon, login, query):
    terminal = daemon.dial("web")
    terminal.send(request("GET", PATH + query, Authorization=basic(login).decode()))
    daemon.clock.advance(0)
    return terminal


def test_a_poll_waits_for_the_first_change_of_its_series(daemon):
    bob = poll(daemon, "bob", "?after=0&wait=30")
    assert bob.received() == b""
    ask(daemon, "ann", "POST", "/v1/indicators/RSI14/EURUSD/M1", {"values": [row(1, "1")]})
    assert bob.received() == b""
    enter(daemon, "ann")(calc(1000, b"5"))
    assert Answer(bob.received()).json["values"] == [row(1000, "5")]


def test_a_poll_ends_with_its_time_or_its_client_and_is_forgotten(daemon):
    first, second = (poll(daemon, "bob", "?after=0&wait=30") for _ in range(2))
    second.hang_up()
    daemon.clock.advance(30)
    assert Answer(first.received()).json["values"] == []
    indicators = IMetrics(daemon.env.components.services["indicators"])._indicators
    assert len(indicators.broadcast._observers) == 0


def test_the_disk_that_takes_nothing_is_named(daemon, monkeypatch):
    def fail(*_):
        raise JournalError("The disk is gone.")

    monkeypatch.setattr(Database, "transaction", fail)
    assert ask(daemon, "ann", "POST", PATH, {"values": [row(1, "1")]}).error == (503, "server")


def test_a_disk_that_gives_nothing_is_told_in_words_of_the_service(daemon, monkeypatch):
    def fail(*_):
        raise JournalError("/srv/data/indicators.sqlite cannot be read: input/output error.")

    monkeypatch.setattr(IndicatorStore, "last", fail)
    answer = ask(daemon, "ann", "GET", PATH)
    assert (answer.error, answer.json["text"]) == ((503, "server"), f"{NOT_READ}.")


@pytest.mark.parametrize(
    ("login", "method", "path", "body", "error"),
    [
        ("carl", "GET", PATH, b"", (403, "denied")),
        ("bob", "POST", PATH, {"values": [row(1, "1")]}, (403, "denied")),
        ("ann", "GET", "/v1/indicators/a%20b/EURUSD/H1", b"", (422, "field")),
        ("ann", "GET", "/v1/indicators/RSI14/EURUSD/H5", b"", (422, "field")),
        ("ann", "GET", f"{PATH}?after=-1", b"", (422, "field")),
        ("ann", "GET", f"{PATH}?bars=0", b"", (422, "field")),
        ("ann", "POST", PATH, {"values": []}, (422, "field")),
        ("ann", "POST", PATH, {"values": [row(1)]}, (422, "field")),
        ("ann", "POST", PATH, {"values": [row(1, "x")]}, (422, "field")),
        ("ann", "POST", PATH, {"values": [row(1, *["1"] * 17)]}, (422, "field")),
        ("ann", "POST", PATH, {"values": [row(-1, "1")]}, (422, "field")),
        ("ann", "POST", PATH, {"values": [row(1, "1")] * 1_001}, (422, "field")),
    ],
)
def test_what_is_refused_says_why(daemon, login, method, path, body, error):
    assert ask(daemon, login, method, path, body).error == error


def test_a_slash_in_the_path_is_escaped(daemon):
    path = "/v1/indicators/desk%2FRSI/BTC%2FUSDT:USDT/H1"
    assert ask(daemon, "carl", "POST", path, {"values": [row(1, "1")]}).status == 200
    assert ask(daemon, "carl", "GET", path).json["values"] == [row(1, "1")]


def test_frames_and_json_are_sent_the_same_encoded_once_each(tmp_path, clock):
    env = make_environment(tmp_path / "data", clock, ON)
    web = env.factory("web", Listener("web", "tcp:1"))
    pages = [WebSocketTerminal(connect(web, clock)) for _ in range(3)]
    names = {"name": "RSI14", "symbol": "EURUSD", "period": "H1"}
    for page in pages:
        page.ask({"verb": "HELLO", "v": "2"})
        (head,) = page.ask({"verb": "INDICATOR", **names, "bars": 5})
        assert head == {"verb": "INDICATED", **names, "count": 0}
    terminal = connect(env.factory("signals"), clock)
    terminal.send(b"<<HELLO|v=2>>" + follow() + calc(1000, b"1.50,", b"|open=1"))
    clock.advance(0)
    assert indicated(0) in terminal.received()
    shown = {"verb": "VALUE", **names, "bar": 1000, "values": ["1.50", None], "open": "1"}
    assert [page.messages() for page in pages] == [[shown]] * 3
    indicators = IMetrics(env.components.services["indicators"])._indicators
    (groups,) = indicators.broadcast.fanout._groups.values()
    assert sorted(map(len, groups.values())) == [1, 3]
    sent = {"verb": "CALC", **names, "bar": 2000, "values": [2, None], "open": True, "id": "a"}
    found, answer = pages[0].ask(sent)
    assert found["values"] == ["2", None]
    assert answer == {"verb": "CALCED", **names, "bar": 2000, "id": "a"}


def test_the_example_follows_closes_and_gives_their_average(tmp_path, clock, monkeypatch, capsys):
    port = HttpPort(make_environment(tmp_path / "data", clock, ON))
    example = runpy.run_path(str(EXAMPLE))
    closes = [row(bar, str(1 + bar % 3)) for bar in range(1, 6)]
    port.ask("POST", "/v1/indicators/close/EURUSD/H1", {"values": closes})
    asked = []

    def ask(method, path, body=None):
        asked.append(method)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return port.ask(method, path, b"" if body is None else body).json

    monkeypatch.setitem(example["main"].__globals__, "ask", ask)
    with pytest.raises(KeyboardInterrupt):
        example["main"]("EURUSD", "H1", 3)
    assert asked == ["GET", "POST", "GET"]
    found = port.ask("GET", "/v1/indicators/average3/EURUSD/H1").json
    assert [each["values"] for each in found["values"]] == [[None]] * 2 + [["2"]] * 3
    assert capsys.readouterr().out.count("\n") == 5
