"""An account, its channel and those who follow it end equal, whatever happens: the real port."""

import os
from decimal import Decimal
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from offices import Office

from mtnet.client import Holdings, Position

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "15"))
KEYS = [("A", ""), ("B", ""), ("B", "1"), ("C", "1"), ("C", "2")]


class Machine(RuleBasedStateMachine):
    """A terminal trades, its owner intervenes, and the network breaks."""

    @initialize()
    def begin(self):
        self.folder = Path(mkdtemp())
        self.office, self.killed = Office(self.folder), []
        self.held, self.loaded = {}, True
        self.provider = self.office.publisher(positions=self.count)
        self.follower = self.office.follower()
        self.part = self.office.follower(symbols=["A", "C"])
        self.office.settle()

    def count(self):
        if not self.loaded:
            return []
        found = [Position(symbol, lots, ticket) for (symbol, ticket), lots in self.held.items()]
        return Holdings(found, flat=not found)

    @rule(key=st.sampled_from(KEYS), lots=st.integers(-2, 3), told=st.booleans())
    def trade(self, key, lots, told):
        """Its program publishes it, or not."""
        symbol, ticket = key
        if lots and any(s == symbol and bool(t) != bool(ticket) for s, t in self.held):
            return
        self.held.pop(key, None)
        if lots:
            self.held[key] = Decimal(lots)
        if told:
            self.provider.publish(symbol, str(lots), ticket=ticket)

    @rule(symbol=st.sampled_from("AC"))
    def close_all(self, symbol):
        """Without a ticket, volume 0 closes every ticket of the symbol."""
        self.held = {key: lots for key, lots in self.held.items() if key[0] != symbol}
        self.provider.publish(symbol, "0")

    @rule(command=st.sampled_from(["pause", "freeze", "resume", "flatten"]))
    def operate(self, command):
        self.office.operate(command)

    @rule(loaded=st.booleans())
    def load(self, loaded):
        self.loaded = loaded

    @rule(number=st.integers(0, 2))
    def cut(self, number):
        line = self.office.lines[number]
        if line.wires:
            line.wire.cut()

    @rule()
    def restart(self):
        self.killed.append(self.office.hub)
        self.office.restart()

    @rule()
    def settle(self):
        self.office.settle()

    @rule(seconds=st.sampled_from([1, 3, 12]))
    def wait(self, seconds):
        self.office.pass_time(seconds)

    def teardown(self):
        if not hasattr(self, "office"):
            return
        try:
            self.loaded = True
            self.office.pass_time(35)
            self.office.operate("pause")
            self.office.operate("resume")
            self.office.pass_time(35)
            self.check()
        finally:
            for hub in [*self.killed, self.office.hub]:
                hub.desk._journal.close()
            rmtree(self.folder)

    def check(self):
        shown = self.office.held() if self.held or "main" in self.office.hub.desk._book else {}
        assert shown == self.held
        for pupil in (self.follower, self.part):
            wanted = {
                k: v for k, v in self.held.items() if not pupil.symbols or k[0] in pupil.symbols
            }
            assert pupil.held == wanted
            assert not pupil.follower.blind
            assert pupil.seqs == sorted(set(pupil.seqs))
        assert self.provider.publisher.waiting == 0


def test_an_account_its_channel_and_its_followers_end_equal():
    case = Machine.TestCase()
    case.settings = settings(
        max_examples=RUNS,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case.runTest()
