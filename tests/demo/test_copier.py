"""Followers of the demonstration: what they acknowledge, refuse, and tell."""

from decimal import Decimal

import pytest

from mtnet.demo.account import Quote
from mtnet.demo.copier import AGAIN, REPORT_INTERVAL, Copier, Pause, Person
from mtnet.services.signals.wire.answers import Signal

ANN = Person("ann", "vps", "1", delay=(0.5, 0.5), slippage=0)
QUOTE = Quote(Decimal("1.1000"), Decimal("1.1002"))


class Connection:
    """Takes what a copier tells."""

    def __init__(self):
        self.acks, self.reports = [], []

    def acknowledge(self, seq, status, *, price=None, volume=None, reason=""):
        self.acks.append((seq, status, price, str(volume), reason))

    def report(self, said):
        self.reports.append(said)


class Scene:
    """A copier without a socket."""

    def __init__(self, clock, person):
        self.clock, self.told, self.events = clock, [], []
        self.copier = Copier(
            clock,
            None,
            person,
            "secret",
            lambda symbol: QUOTE,
            lambda *signal: self.told.append(signal),
            self.events.append,
        )
        self.said = self.copier.follower = Connection()

    def signal(self, seq, volume, symbol="EURUSD"):
        self.copier._take_signal(Signal("main", seq, symbol, Decimal(volume), time=0))


@pytest.fixture
def scene(clock):
    return lambda person: Scene(clock, person)


def test_an_order_is_acknowledged_when_it_is_filled_with_price_and_lots(scene):
    ann = scene(ANN)
    ann.signal(1, "0.5")
    assert ann.told == [("EURUSD", Decimal("0.5"))]
    assert ann.said.acks == []
    ann.clock.advance(0.5)
    assert ann.said.acks == [(1, "filled", "1.1002", "0.5", "")]


def test_orders_are_filled_one_after_the_other(scene):
    ann = scene(ANN)
    ann.signal(1, "0.5")
    ann.signal(2, "0")
    ann.clock.advance(0.5)
    ann.clock.advance(0.5)
    assert [ack[:4] for ack in ann.said.acks] == [
        (1, "filled", "1.1002", "0.5"),
        (2, "filled", "1.1000", "0"),
    ]
    assert ann.copier.filled == 2


def test_an_order_is_refused_once_and_filled_later(scene):
    ann = scene(ANN._replace(refuses=1))
    ann.signal(1, "0.5")
    ann.clock.advance(0.5)
    ann.signal(2, "1")
    ann.clock.advance(0.5)
    assert ann.said.acks[-1] == (2, "failed", None, "0.5", "no money")
    assert "REFUSED" in ann.events[0]
    ann.clock.advance(AGAIN)
    assert ann.said.acks[-1] == (2, "filled", "1.1002", "1", "")
    assert (ann.copier.filled, ann.copier.refused) == (2, 1)


def test_a_reduction_is_never_refused(scene):
    ann = scene(ANN._replace(refuses=1))
    ann.signal(1, "0.5")
    ann.signal(2, "0")
    ann.clock.pump([0.5, 0.5])
    assert [ack[1] for ack in ann.said.acks] == ["filled", "filled"]


def test_orders_wait_while_the_terminal_hangs(scene):
    ann = scene(ANN._replace(hangs=Pause(begin=10, length=20, period=100)))
    ann.clock.advance(12)
    ann.signal(1, "0.5")
    ann.clock.advance(17)
    assert ann.said.acks == []
    ann.clock.advance(2)
    assert [ack[0] for ack in ann.said.acks] == [1]


@pytest.mark.parametrize(
    ("at", "end"), [(9, 9), (10, 30), (29, 30), (30, 30), (111, 130), (131, 131)]
)
def test_a_pause_comes_again(at, end):
    assert Pause(begin=10, length=20, period=100).end(at) == end


def test_an_account_is_reported_again_and_again(scene):
    ann = scene(ANN)
    ann.copier.start()
    ann.clock.advance(REPORT_INTERVAL)
    assert [said.account for said in ann.said.reports] == ["1", "1"]
    ann.copier.stop()
    ann.clock.advance(REPORT_INTERVAL)
    assert len(ann.said.reports) == 2


def test_nothing_is_ordered_after_the_end(scene):
    ann = scene(ANN)
    ann.signal(1, "0.5")
    ann.copier.stop()
    ann.clock.advance(1)
    assert ann.said.acks == []


def test_a_faster_provider_has_faster_brokers():
    assert ANN.faster(5).delay == (0.1, 0.1)
