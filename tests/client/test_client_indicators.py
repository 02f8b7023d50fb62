"""Values of indicators of a server in memory: each change once, over lost connections too."""

import pytest
from fakes.clients import Harness

from mtnet.client import Series, subscribe_indicator
from mtnet.client.core.tasks.indicators import Keeping, items
from mtnet.errors import ClientError
from mtnet.services.indicators.wire import Value
from mtnet.testing import connect

ROADS = ("tcp", "tls", "websocket")
RSI = Series("RSI14", "EURUSD", "H1")


class Reader:
    """A subscription, and what came of it."""

    def __init__(self, folder, road, *sets, bars=3):
        self.harness, self.said = Harness(folder / "data", *sets), []
        self.line = self.harness.line(road)
        if sets:
            self.feed(1, 2, 3, 4)
        self.service = subscribe_indicator(
            self.harness.endpoint(self.line),
            RSI,
            self.take,
            self.harness.clock,
            bars,
            on_connected=lambda: self.said.append("connected"),
            on_lost=lambda reason: self.said.append("lost"),
            on_error=lambda code, text: self.said.append(code),
        )
        self.service.startService()

    def feed(self, *bars, values="1", more=""):
        """Give values from another terminal."""
        terminal = connect(self.harness.env.factory("signals"), self.harness.clock)
        terminal.send(b"<<HELLO|v=2>>")
        for bar in bars:
            series = f"name={RSI.name}|symbol={RSI.symbol}|period={RSI.period}"
            terminal.send(f"<<CALC|{series}|bar={bar}|values={values}{more}>>".encode())
        terminal.hang_up()

    def take(self, value):
        shown = ",".join(value.values)
        self.said.append(f"{value.bar} {shown}{'+' * value.open}")

    def news(self, seconds=2):
        self.harness.pass_time(seconds)
        found, self.said = self.said, []
        return found


@pytest.fixture(params=ROADS)
def reader(request, tmp_path):
    return Reader(tmp_path, request.param, "indicators.enabled=true")


def test_the_last_bars_come_and_then_each_change(reader):
    assert reader.news() == ["connected", "2 1", "3 1", "4 1"]
    reader.feed(5, values="7,", more="|open=1")
    reader.feed(5, values="8,2")
    assert reader.news() == ["5 7,+", "5 8,2"]


def test_after_a_lost_connection_only_what_has_changed_comes(reader):
    reader.news()
    reader.line.connection.cut()
    reader.feed(3, values="9")
    reader.feed(5)
    found = [each for each in reader.news(40) if each not in ("lost", "connected")]
    assert found == ["3 9", "5 1"]


def test_a_server_without_indicators_says_so(tmp_path):
    assert Reader(tmp_path, "tcp").news() == ["denied"]


@pytest.mark.parametrize(
    ("asked", "right"),
    [
        (Series("a b", "EURUSD", "H1"), "In INDICATOR name is 1 to 64 of"),
        (Series("a", "", "H1"), "In INDICATOR symbol is"),
        (Series("a", "EURUSD", "H5"), "In INDICATOR period is one of"),
    ],
)
def test_values_that_there_cannot_be_are_one_sentence(asked, right):
    with pytest.raises(ClientError, match=right):
        subscribe_indicator(None, asked, print, None)


def test_numbers_are_given_by_their_shortest_text():
    assert items([1.5, "1.50", None, float("nan"), float("inf"), 3]) == (
        *("1.5", "1.50", "", "", "", "3"),
    )


def test_values_that_the_server_would_refuse_are_not_sent():
    with pytest.raises(ClientError, match="In CALC values is 1 to 16 numbers"):
        Keeping(Value(RSI, 1, ("x",)))
