"""Followers of views at simulated brokers: once faults have ended, each account is its view."""

import random
from decimal import Decimal
from fractions import Fraction

import pytest

from mtnet.services.signals.model import Entry
from mtnet.services.signals.views.ledger import Target
from mtnet.services.signals.views.settings import ViewSettings
from mtnet.services.signals.views.transform import Terms, View

CHANGES = 2_500
"""Changes of the provider in each story; there are four."""
WHEN = 1_795_000_000_000
SYMBOLS = ("EURUSD", "XAUUSD", "US30")


class Broker:
    """
    An account that executes some of what it is asked for: in steps, from a smallest lot on, in
    part, or not at all.
    """

    def __init__(self, chance, step, least):
        self.chance, self.step, self.least = chance, step, least
        self.lots, self.faulty = {}, True

    def trade(self, target, wanted):
        """Bring a position nearer to the lots that are wanted."""
        held = self.lots.get(target, Decimal(0))
        if held and wanted and (held > 0) != (wanted > 0):
            wanted = Decimal(0)  # first the closing
        if self.faulty and self.chance.random() < 0.2:
            return
        more = wanted - held
        if self.faulty and self.chance.random() < 0.3:
            more = more / 2 // self.step * self.step
        after = held + more
        assert not after % self.step, "no multiple of the broker's step"
        if after and abs(after) < self.least:
            after = held if wanted else Decimal(0)
        self.lots[target] = after


class Follower:
    """Reads the entries of a view, from one that it knows on, and trades after what they say."""

    def __init__(self, broker):
        self.broker, self.after, self.wanted = broker, 0, {}

    def read(self, entries):
        """Take what came since; now and then as the snapshot of one that was away for long."""
        for target, lots in entries[self.after :]:
            self.wanted[target] = lots
        self.after = len(entries)

    def reconcile(self):
        for target in {*self.wanted, *self.broker.lots}:
            wanted = self.wanted.get(target, Decimal(0))
            if self.broker.lots.get(target, Decimal(0)) != wanted:
                self.broker.trade(target, wanted)


SETUPS = {
    "half": ({"value": Decimal("0.5"), "step": Decimal("0.01")}, "0.01", "0.01"),
    "small steps of a large broker": (
        {"value": Decimal("0.37"), "step": Decimal("0.1"), "min": Decimal("0.1")}, "0.1", "0.1",
    ),
    "the smallest lot at least": (
        {"value": Decimal("0.03"), "step": Decimal("0.01"), "min": Decimal("0.02"),
         "force_min": True}, "0.01", "0.02",
    ),
    "the other side, cut": (
        {"value": Decimal("1.7"), "step": Decimal("0.01"), "max": Decimal("1.5"), "reverse": True},
        "0.01", "0.01",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SETUPS)
def test_after_faults_an_account_is_its_view(name):
    options, step, least = SETUPS[name]
    chance = random.Random(name)
    view = View("half", ViewSettings(sources=("gold",), **options), {"gold": 1})
    follower = Follower(Broker(chance, Decimal(step), Decimal(least)))
    entries, provider = [], dict.fromkeys(SYMBOLS, Decimal(0))
    for number in range(CHANGES):
        symbol = chance.choice(SYMBOLS)
        before = provider[symbol]
        provider[symbol] = after = changed(chance, before)
        drafts = view.apply("gold", Entry("gold", symbol, after, WHEN + number), Terms(WHEN))
        entries += [(draft.target, draft.shown.volume) for draft in drafts]
        judge_reduction(view, symbol, before, after)
        if chance.random() < 0.7:  # else it is away
            follower.read(entries)
        follower.broker.faulty = number % 500 < 480
        follower.reconcile()
        if number % 500 == 499:
            follower.read(entries)
            for _ in range(3):
                follower.reconcile()
            held = {target: lots for target, lots in follower.broker.lots.items() if lots}
            assert held == {target: each.volume for target, each in view.shown.items()}


def changed(chance, lots):
    """Open, increase, reduce, reverse or close a position of the provider."""
    what = chance.random()
    if not lots or what < 0.1:
        return Decimal(chance.randint(-1_000, 1_000)) / 100
    if what < 0.2:
        return Decimal(0)
    factor = Decimal(chance.randint(1, 99)) / 100 if what < 0.7 else Decimal(chance.randint(1, 3))
    return (lots * factor).quantize(Decimal("0.01"))


def judge_reduction(view, symbol, before, after):
    """A copy that nothing cuts is the provider's volume times k, but for less than a step."""
    row = view.rows.get((1, symbol, ""))
    if row is None or row.size is None or (before > 0) != (after > 0):
        return
    size, lots = row.size, Fraction(abs(row.shown))
    if abs(after) < abs(before) and row.copied == abs(after) and lots > size.min:
        assert 0 <= abs(Fraction(after)) * size.k - lots < Fraction(size.step)
    assert lots <= max(abs(Fraction(after)) * size.k, Fraction(size.min) * size.force_min)


def test_the_ratio_of_a_partial_close_is_that_of_the_provider():
    view = View("half", ViewSettings(sources=("gold",), value=Decimal("0.37"),
                                     step=Decimal("0.01")), {"gold": 1})  # fmt: skip
    target = Target("EURUSD", "")
    for lots, copy in (("1.00", "0.37"), ("0.50", "0.18"), ("0.25", "0.09"), ("0.02", None)):
        view.apply("gold", Entry("gold", "EURUSD", Decimal(lots), WHEN), Terms(WHEN))
        assert view.shown.get(target, (None,))[0] == (copy and Decimal(copy))
