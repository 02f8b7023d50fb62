"""Sentiment by HTTP, and its minute history."""

import runpy
import sqlite3
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from fakes.daemon import basic
from fakes.http import HttpPort
from test_sentiment_verbs import enter, numbers, serve, vote

from mtnet.errors import JournalError
from mtnet.interfaces import IBackup, IControlCommands, IStatus
from mtnet.services.sentiment.history import SentimentHistory
from mtnet.services.sentiment.resources import NOT_READ
from mtnet.services.sentiment.wire import Sentiment, to_lots
from mtnet.testing import EPOCH, make_environment

PATH = "/v1/sentiment/EURUSD"
MINUTE = 60_000
FIRST = EPOCH // MINUTE * MINUTE
"""The minute in which the tests begin."""
EXAMPLE = Path(__file__).parents[3] / "examples" / "sentiment.py"


@pytest.fixture
def daemon(tmp_path, clock):
    return serve(tmp_path, clock, "sentiment.min_clients=1")


@pytest.fixture
def component(daemon):
    found = daemon.env.components.services["sentiment"]
    found.start()
    yield found
    found.stop()


def ask(daemon, login, method, path, body=b""):
    port = HttpPort(daemon.env)
    return port.ask(method, path, body, Authorization=basic(login).decode())


def row(symbol, long, short, net, clients, time=EPOCH):
    values = {"long": long, "short": short, "net": net, "clients": clients, "time": time}
    return {"symbol": symbol, **values}


def test_a_vote_by_post_is_counted_with_those_of_sessions_and_lingers(daemon):
    bob = enter(daemon, "bob")
    bob(vote("EURUSD", "-1"))
    found = ask(daemon, "ann", "POST", PATH, {"volume": 0.25})
    assert (found.status, found.json) == (200, row("EURUSD", "0.25", "1.00", "-0.75", 2))
    assert ask(daemon, "ann", "GET", PATH).json == found.json
    daemon.clock.advance(50)
    ask(daemon, "ann", "POST", PATH, {"volume": "0.50"})
    bob()
    daemon.clock.advance(5)
    bob(b"<<PONG>>")
    daemon.clock.advance(5)
    assert numbers(bob(b"<<PONG>>", vote("EURUSD", "-1"))) == [("EURUSD", "0.50", "1.00", 2)]
    for _ in range(10):
        daemon.clock.advance(5)
        bob(b"<<PONG>>")
    assert ask(daemon, "bob", "GET", PATH).json["clients"] == 1


def test_the_list_has_what_is_shown_and_may_be_seen(daemon):
    ann = enter(daemon, "ann")
    ann(vote("EURUSD", "1"), vote("GBPUSD", "2"), vote("AUDUSD", "0"))
    assert [each["symbol"] for each in ask(daemon, "bob", "GET", "/v1/sentiment").json] == [
        "EURUSD",
        "GBPUSD",
    ]
    assert [each["symbol"] for each in ask(daemon, "gina", "GET", "/v1/sentiment").json] == [
        "EURUSD"
    ]


@pytest.mark.parametrize(
    ("login", "method", "path", "body", "error"),
    [
        ("gina", "POST", PATH, {"volume": "1"}, (403, "denied")),
        ("gina", "GET", "/v1/sentiment/GBPUSD", b"", (403, "denied")),
        ("gina", "GET", "/v1/sentiment/GBPUSD/history", b"", (403, "denied")),
        ("fred", "GET", PATH, b"", (403, "denied")),
        ("eve", "GET", "/v1/sentiment", b"", (403, "denied")),
        ("ann", "POST", PATH, {}, (422, "field")),
        ("ann", "POST", PATH, {"volume": "much"}, (422, "field")),
        ("ann", "POST", "/v1/sentiment/a%7Cb", {"volume": "1"}, (422, "field")),
        ("ann", "GET", "/v1/sentiment/a%3Cb", b"", (422, "field")),
        ("ann", "GET", f"{PATH}/history?limit=0", b"", (422, "field")),
        ("ann", "GET", f"{PATH}/history?from=yesterday", b"", (422, "field")),
    ],
)
def test_what_is_refused_says_why(daemon, login, method, path, body, error):
    assert ask(daemon, login, method, path, body).error == error


# The minute history


def test_each_minute_has_what_was_shown(daemon, component):
    for volume in ("1", "2", "0", "3"):
        ask(daemon, "ann", "POST", PATH, {"volume": volume})
        daemon.clock.advance(59)
        daemon.clock.advance(1)
    found = ask(daemon, "bob", "GET", f"{PATH}/history").json
    assert [(each["time"] - FIRST, each["long"], each["clients"]) for each in found["minutes"]] == [
        (1 * MINUTE, "1.00", 1),
        (2 * MINUTE, "2.00", 1),
        (4 * MINUTE, "3.00", 1),
    ]
    query = f"?from={FIRST + 2 * MINUTE}&to={FIRST + 4 * MINUTE}"
    found = ask(daemon, "bob", "GET", f"{PATH}/history{query}").json
    assert [each["long"] for each in found["minutes"]] == ["2.00"]
    found = ask(daemon, "bob", "GET", f"{PATH}/history?limit=2").json
    assert [each["long"] for each in found["minutes"]] == ["1.00", "2.00"]
    assert ask(daemon, "bob", "GET", "/v1/sentiment/OTHER/history").json["minutes"] == []
    past = IControlCommands(component).commands()["sentiment history"]
    rows = []
    past({"symbol": "EURUSD", "hours": 1}).addCallback(rows.extend)
    assert [each["long"] for each in rows] == ["1.00", "2.00", "3.00"]


def test_minutes_are_kept_over_a_start_and_as_long_as_the_setting_says(tmp_path, clock):
    path = tmp_path / "data" / "sentiment.sqlite"
    path.parent.mkdir()
    history = SentimentHistory(path)
    for minute in (FIRST - 2 * 86_400_000, FIRST - MINUTE):
        history.add(minute, [Sentiment("EURUSD", to_lots(1), to_lots(0), 3, minute)])
    history.close()
    daemon = serve(tmp_path, clock, "sentiment.keep=86400")
    component = daemon.env.components.services["sentiment"]
    component.start()
    found = ask(daemon, "ann", "GET", f"{PATH}/history").json["minutes"]
    assert [(each["time"], each["long"]) for each in found] == [(FIRST - MINUTE, "0.00001")]
    component.stop()


def test_a_disk_that_takes_no_minute_is_a_warning_until_it_does(daemon, component, monkeypatch):
    def fail(self, minute, shown):
        raise JournalError("The disk is full.")

    ask(daemon, "ann", "POST", PATH, {"volume": "1"})
    with monkeypatch.context() as broken:
        broken.setattr(SentimentHistory, "add", fail)
        daemon.clock.advance(60)
        assert IStatus(component).health() == {
            "healthy": True,
            "trouble": None,
            "warning": "The minute history of sentiment: The disk is full.",
        }
    ask(daemon, "ann", "POST", PATH, {"volume": "1"})
    daemon.clock.advance(60)
    assert IStatus(component).health() == {"healthy": True, "trouble": None}


def test_a_history_that_the_disk_does_not_give_is_told_in_words_of_the_service(daemon, monkeypatch):
    def fail(*_):
        raise JournalError("/srv/data/sentiment.sqlite cannot be read: input/output error.")

    monkeypatch.setattr(SentimentHistory, "read", fail)
    answer = ask(daemon, "ann", "GET", f"{PATH}/history")
    assert (answer.error, answer.json["text"]) == ((503, "server"), f"{NOT_READ}.")


def test_a_backup_has_the_history(daemon, component, tmp_path):
    (tmp_path / "backup").mkdir()
    ask(daemon, "ann", "POST", PATH, {"volume": "1"})
    daemon.clock.advance(60)
    IBackup(component).backup(tmp_path / "backup")
    with closing(sqlite3.connect(tmp_path / "backup" / "sentiment.sqlite")) as copied:
        assert copied.execute("SELECT symbol, long, clients FROM minute").fetchall() == [
            ("EURUSD", 100_000, 1)
        ]


def test_the_description_of_the_api_has_the_paths_once_it_is_on(tmp_path, clock):
    port = HttpPort(make_environment(tmp_path / "data", clock, "sentiment.enabled=true"))
    paths = port.ask("GET", "/v1/openapi.json").json["paths"]
    assert {path: set(own) for path, own in paths.items() if "sentiment" in path} == {
        "/v1/sentiment": {"get"},
        "/v1/sentiment/{symbol}": {"get", "post"},
        "/v1/sentiment/{symbol}/history": {"get"},
    }


def test_the_example_votes_and_prints(tmp_path, clock, monkeypatch, capsys):
    port = HttpPort(make_environment(tmp_path / "data", clock, "sentiment.enabled=true"))
    example = runpy.run_path(str(EXAMPLE))
    names = example["main"].__globals__
    pauses = iter([None])

    def sleep(seconds):
        if next(pauses, "over") == "over":
            raise KeyboardInterrupt

    def ask(asked, timeout):
        path = asked.full_url.removeprefix(names["SERVER"])
        answer = port.ask(asked.method, path, asked.data)
        return closing(BytesIO(answer.body))

    monkeypatch.setattr(names["time"], "sleep", sleep)
    monkeypatch.setitem(names, "urlopen", ask)
    with pytest.raises(KeyboardInterrupt):
        example["main"]("EURUSD", "0.25")
    line = "EURUSD long 0.25 short 0.00 clients 1\n"
    assert capsys.readouterr().out == 2 * line
