"""An account, its channel and those who follow it end equal, whatever happens: the real port."""

import os
from decimal import Decimal
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from fakes.clients import Harness
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from mtnet.client import Holdings, Position
from mtnet.interfaces import ISignals

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "15"))
KEYS = [("A", ""), ("B", ""), ("B", "1"), ("C", "1"), ("C", "2")]


class Machine(RuleBasedStateMachine):
    """A terminal trades, its owner intervenes, and the network breaks."""

    @initialize()
    def begin(self):
        self.folder = Path(mkdtemp())
        self.harness, self.killed = Harness(self.folder), []
        self.held, self.loaded = {}, True
        self.provider = self.harness.publisher(positions=self.count)
        self.follower = self.harness.follower()
        self.part = self.harness.follower(symbols=["A", "C"])
        self.harness.settle()

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
        self.harness.operate(command)

    @rule(loaded=st.booleans())
    def load(self, loaded):
        self.loaded = loaded

    @rule(number=st.integers(0, 2))
    def cut(self, number):
        line = self.harness.lines[number]
        if line.connections:
            line.connection.cut()

    @rule()
    def restart(self):
        self.killed.append(self.harness.env)
        self.harness.restart()

    @rule()
    def settle(self):
        self.harness.settle()

    @rule(seconds=st.sampled_from([1, 3, 12]))
    def wait(self, seconds):
        self.harness.pass_time(seconds)

    def teardown(self):
        if not hasattr(self, "office"):
            return
        try:
            self.loaded = True
            self.harness.pass_time(35)
            self.harness.operate("pause")
            self.harness.operate("resume")
            self.harness.pass_time(35)
            self.check()
        finally:
            for env in [*self.killed, self.harness.env]:
                env.find(ISignals).worker.journal.close()
            rmtree(self.folder)

    def check(self):
        shown = (
            self.harness.held()
            if self.held or "main" in self.harness.env.find(ISignals)._book
            else {}
        )
        assert shown == self.held
        for follower_client in (self.follower, self.part):
            wanted = {
                k: v
                for k, v in self.held.items()
                if not follower_client.symbols or k[0] in follower_client.symbols
            }
            assert follower_client.held == wanted
            assert not follower_client.follower.blind
            assert follower_client.seqs == sorted(set(follower_client.seqs))
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
