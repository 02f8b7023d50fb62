"""Bars of a server in memory: none is missed over a lost connection, and no closed one doubled."""

import pytest
from fakes.clients import Harness

from mtnet.client import subscribe_bars
from mtnet.errors import ClientError
from mtnet.interfaces import ITicks
from mtnet.testing import EPOCH

MINUTE = 60_000
ROADS = ("tcp", "tls", "websocket")


class Chart:
    """
    A subscription, and what came of it.

    Attributes:
        said: `minute close`, with a `+` where the bar is open; and events in between.
    """

    def __init__(self, folder, road, *sets, count=3, period="M1"):
        self.harness, self.said = Harness(folder / "data", *sets), []
        self.line = self.harness.line(road)
        self.feed("1.1", "1.2", "1.3", "1.4")
        self.service = subscribe_bars(
            self.harness.endpoint(self.line),
            "UK 100",
            period,
            self.take,
            self.harness.clock,
            count,
            on_connected=lambda: self.said.append("connected"),
            on_lost=lambda reason: self.said.append("lost"),
            on_error=lambda code, text: self.said.append(code),
        )
        self.service.startService()

    minute = 0

    def feed(self, *prices):
        """Take one tick a minute."""
        ticks = self.harness.env.find(ITicks)
        for price in prices:
            moment = EPOCH // MINUTE * MINUTE + self.minute * MINUTE
            record = f"{price} 9 - - {moment}".encode()
            ticks.take(ticks.source("desk"), [(b"UK%20100", record)], moment)
            self.minute += 1

    def take(self, bar):
        number = (bar.time - EPOCH // MINUTE * MINUTE) // MINUTE
        self.said.append(f"{number} {bar.close}{'+' * bar.current}")

    def news(self, seconds=2):
        self.harness.pass_time(seconds)
        found, self.said = self.said, []
        return found


@pytest.fixture(params=ROADS)
def chart(request, tmp_path):
    return Chart(tmp_path, request.param)


def test_the_last_bars_come_then_the_open_one_as_it_changes_and_each_closed_one(chart):
    assert chart.news() == ["connected", "1 1.2", "2 1.3", "3 1.4+"]
    chart.minute -= 1
    chart.feed("1.5")
    assert chart.news() == ["3 1.5+"]
    chart.feed("1.6", "1.7")
    assert chart.news() == ["3 1.5", "4 1.6", "5 1.7+"]


def test_what_was_missed_comes_after_a_lost_connection_and_no_closed_bar_twice(chart):
    chart.news()
    chart.line.connection.cut()
    chart.feed("1.5", "1.6", "1.7", "1.8")
    chart.harness.clock.advance(240)
    found = chart.news(40)
    bars = [each for each in found if each not in ("lost", "connected")]
    assert bars == ["3 1.4", "4 1.5", "5 1.6", "6 1.7", "7 1.8+"]


def test_bars_begin_again_when_the_clock_of_their_times_changes(tmp_path):
    chart = Chart(tmp_path, "tcp")
    chart.service.stopService()
    ticks = chart.harness.env.find(ITicks)
    said = []
    service = subscribe_bars(
        chart.line, "EURUSD", "M1", lambda bar: said.append(bar.time), chart.harness.clock
    )
    service.startService()
    ticks.take(ticks.source("desk"), [(b"EURUSD", b"1.1")], EPOCH + 90 * MINUTE)
    chart.harness.pass_time(2)
    earlier = EPOCH // MINUTE * MINUTE + 30 * MINUTE
    ticks.take(ticks.source("desk"), [(b"EURUSD", b"1.1 - - - %d" % earlier)], EPOCH)
    chart.harness.pass_time(2)
    assert said == [(EPOCH + 90 * MINUTE) // MINUTE * MINUTE, earlier]


def test_a_server_that_keeps_no_bars_says_so(tmp_path):
    assert Chart(tmp_path, "tcp", "ticks.bars=0").news(1)[0] == "denied"


@pytest.mark.parametrize(
    ("asked", "right"),
    [
        (("A|B", "M1", 5), "symbol is"),
        (("EURUSD", "M7", 5), "period is one of S1, S2"),
        (("EURUSD", "M1", 0), "count is a whole number from 1 to 5000"),
        (("EURUSD", "M1", 5_001), "count is a whole number from 0 to 5000"),
    ],
)
def test_bars_that_there_are_not_are_one_sentence(asked, right):
    symbol, period, count = asked
    with pytest.raises(ClientError, match=right) as caught:
        subscribe_bars(None, symbol, period, print, None, count)
    assert str(caught.value).endswith("these bars cannot be asked for.")
