"""TICKS and BARS as JSON: the same verbs and answers over WebSocket."""

import json

import pytest
from fakes.websocket_bytes import WebSocketTerminal
from session_clients import Daemon

from mtnet.services.ticks.verbs.bar_sender import BarSender
from mtnet.session.session import PICTURE
from mtnet.testing import EPOCH, connect

MINUTE = 60_000
HELLO = {"verb": "HELLO", "v": "2"}


@pytest.fixture
def daemon(tmp_path, clock):
    return Daemon(tmp_path / "data", clock)


@pytest.fixture
def page(daemon):
    client = WebSocketTerminal(connect(daemon.factory("web"), daemon.clock))
    (welcome,) = client.ask(HELLO)
    assert welcome["services"] == ["signals", "status", "ticks"]
    return client


def said(client):
    return [each.json for each in client.received()]


def test_ticks_are_objects_with_prices_as_texts_and_times_as_numbers(daemon, page):
    daemon.feed(f"UK%20100 7000.50 7000.75 - - {EPOCH} 6")
    answer = page.ask({"verb": "TICKS", "symbols": ["UK 100", "A,B"]})
    assert answer == [
        {"verb": "TICKING", "symbols": ["A,B", "UK 100"]},
        {
            "verb": "TICK",
            "symbol": "UK 100",
            "bid": "7000.50",
            "ask": "7000.75",
            "time": EPOCH,
            "flags": 6,
            "received": EPOCH,
        },
    ]
    assert page.ask({"verb": "TICKS", "symbols": []}) == [{"verb": "TICKING", "symbols": []}]
    daemon.feed("UK%20100 1")
    assert said(page) == []


def test_a_thousand_symbols_can_be_asked_for(daemon, page):
    names = [f"AB{number:04}" for number in range(1_000)]
    assert page.ask({"verb": "TICKS", "symbols": names}) == [{"verb": "TICKING", "symbols": names}]
    (error,) = page.ask({"verb": "TICKS", "symbols": [*names, "B"]})
    assert (error["verb"], error["code"]) == ("ERROR", "field")


def test_bars_are_objects_too(daemon, page):
    daemon.feed(*(f"EURUSD 1.1{at} 1.2 - - {EPOCH + at * MINUTE}" for at in range(3)))
    answer = page.ask({"verb": "BARS", "symbol": "EURUSD", "period": "M1", "count": 2})
    daemon.clock.advance(0)
    daemon.clock.advance(0)
    head, closed, current = [*answer, *said(page)]
    assert head == {
        "verb": "BARRED",
        "symbol": "EURUSD",
        "period": "M1",
        "count": 2,
        "clock": "broker",
    }
    assert closed == {
        "verb": "BAR",
        "symbol": "EURUSD",
        "period": "M1",
        "time": EPOCH // MINUTE * MINUTE + MINUTE,
        **dict.fromkeys(("open", "high", "low", "close"), "1.11"),
        "ticks": 1,
        "spread": 9,
        "volume": "0",
    }
    assert (current["close"], current["current"]) == ("1.12", 1)


def test_a_page_that_lags_is_sent_the_newest_tick_and_what_was_skipped(daemon, page):
    page.ask({"verb": "TICKS", "symbols": ["*"]})
    page.terminal.transport.stalled = True
    for number in range(3_000):
        daemon.feed(f"EURUSD {number}")
    before = said(page)
    page.terminal.transport.stalled = False
    page.terminal.transport.drain()
    daemon.clock.advance(0)
    (last,) = said(page)
    assert last["bid"] == "2999"
    assert len(before) + 1 + int(last["skipped"]) == 3_000
    assert json.dumps(before).count("skipped") == 0


BROWSER = {"Origin": "http://localhost", "Sec_WebSocket_Extensions": "permessage-deflate"}


def test_pages_are_sent_each_tick_and_all_of_a_picture_in_one_write(daemon):
    pages = [
        WebSocketTerminal(connect(daemon.factory("web"), daemon.clock), **BROWSER) for _ in range(2)
    ]
    for each in pages:
        each.ask(HELLO, {"verb": "TICKS", "symbols": ["*"]})
    daemon.clock.advance(1.1 * PICTURE)
    early = []
    for at in range(5):
        daemon.feed(f"EURUSD 1.1{at}")
        daemon.clock.advance(PICTURE / 10)
        early += [each.received() for each in pages]
    assert not any(early)
    daemon.clock.pump([PICTURE / 50] * 50)
    for each in pages:
        assert [tick["bid"] for tick in each.messages()] == [f"1.1{at}" for at in range(5)]


def test_pages_on_one_chart_share_what_is_made_and_are_each_sent_every_bar(daemon, monkeypatch):
    pages = [
        WebSocketTerminal(connect(daemon.factory("web"), daemon.clock), **BROWSER) for _ in range(3)
    ]
    daemon.feed(f"EURUSD 1.10 1.2 - - {EPOCH}")
    for each in pages:
        each.ask(HELLO, {"verb": "BARS", "symbol": "EURUSD", "period": "M1", "count": 5})
    daemon.clock.pump([PICTURE / 2] * 4)
    for each in pages:
        each.received()
    made = []
    make = BarSender._next
    monkeypatch.setattr(BarSender, "_next", lambda *of: made.append(of) or make(*of))
    for at in range(8):
        daemon.feed(f"EURUSD 1.1{at} 1.2 - - {EPOCH + at * MINUTE // 2}")
        daemon.clock.pump([PICTURE / 2] * 2)
    told = [[each.json for each in page.received() if b'"BAR"' in each.payload] for page in pages]
    assert told[0] == told[1] == told[2]
    closed = [each["time"] for each in told[0] if "current" not in each]
    first = EPOCH // MINUTE * MINUTE
    assert closed == [*range(first, told[0][-1]["time"], MINUTE)]
    assert len(closed) >= 3
    assert told[0][-1]["close"] == "1.17"
    assert len(made) == 8
