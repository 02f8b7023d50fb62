"""Sums of a server in memory: votes of the program, over lost connections too."""

import pytest
from fakes.clients import Harness

from mtnet.client import subscribe_sentiment
from mtnet.client.core.tasks.sentiment import SentimentCore, Watching
from mtnet.errors import ClientError
from mtnet.testing import connect

ROADS = ("tcp", "tls", "websocket")


class Watcher:
    """A subscription that votes, and what came of it."""

    def __init__(self, folder, road, *sets):
        self.harness, self.said = Harness(folder / "data", *sets), []
        self.line = self.harness.line(road)
        self.service = subscribe_sentiment(
            self.harness.endpoint(self.line),
            ["EURUSD"],
            lambda sums: self.said.append(f"{sums.symbol} {sums.net} {sums.clients}"),
            self.harness.clock,
            {"EURUSD": 0.25},
            on_connected=lambda: self.said.append("connected"),
            on_lost=lambda reason: self.said.append("lost"),
            on_error=lambda code, text: self.said.append(code),
        )
        self.service.startService()

    def vote(self, volume):
        terminal = connect(
            self.harness.env.factory("signals"), self.harness.clock, peer="127.9.9.9"
        )
        terminal.send(f"<<HELLO|v=2>><<HOLD|symbol=EURUSD|volume={volume}>>".encode())

    def news(self, seconds=2):
        self.harness.pass_time(seconds)
        found, self.said = self.said, []
        return found


@pytest.fixture(params=ROADS)
def watcher(request, tmp_path):
    return Watcher(tmp_path, request.param, "sentiment.enabled=true", "sentiment.min_clients=1")


def test_the_program_votes_and_is_sent_the_sums(watcher):
    first = watcher.news()
    assert "connected" in first
    assert first[-1] == "EURUSD 0.25 1"
    watcher.vote("-1")
    assert watcher.news() == ["EURUSD -0.75 2"]


def test_after_a_lost_connection_it_votes_again_and_counts_once(watcher):
    watcher.news()
    watcher.line.connection.cut()
    found = watcher.news(40)
    assert "lost" in found
    assert found[-1] == "EURUSD 0.25 1"


def test_a_server_without_sentiment_says_so(tmp_path):
    assert Watcher(tmp_path, "tcp").news() == ["denied"]


def test_positions_can_change():
    core = SentimentCore(Watching(["EURUSD"], {"EURUSD": "1"}), None)
    core.hold("EURUSD", 0.30000000000000004)
    core.hold("GBPUSD", -1)
    assert core._watching.request() == (
        b"<<HOLD|symbol=EURUSD|volume=0.3>>\r\n<<HOLD|symbol=GBPUSD|volume=-1>>\r\n"
        b"<<SENTIMENTS|symbols=EURUSD>>\r\n"
    )


@pytest.mark.parametrize(
    ("symbols", "positions", "sentence"),
    [
        (["a|b"], {}, "In SENTIMENTS symbols is one or more"),
        ([], {"EURUSD": "much"}, "A volume is lots such as 0.25"),
        ([], {"": 1}, "In HOLD symbol is 1 to 32"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(symbols, positions, sentence):
    with pytest.raises(ClientError, match=sentence):
        Watching(symbols, positions)
