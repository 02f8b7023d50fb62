"""Publishers, followers, a disk that fails and a daemon that dies, in any order."""

import os
import shutil
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from signals_model import (
    Follower,
    Master,
    PublishedFollower,
    Publisher,
    Truth,
    WitnessedJournal,
)
from signals_peers import Server
from twisted.internet.task import Clock

from mtnet.net import backlog
from mtnet.signals import replay, subscription
from mtnet.signals.publishers import LINGER

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "50"))
SHARES = st.floats(0, 1)
CONTENTS = st.one_of(
    st.tuples(st.sampled_from("AB"), st.just(""), st.sampled_from([0, 1, 2, -3])),
    st.tuples(st.just("T"), st.sampled_from(["1", "2"]), st.sampled_from([0, 1, -2])),
)
VOLUMES = st.lists(st.sampled_from(["0.00", "1.00", "-2.50"]), min_size=1, max_size=4)
WHO = st.integers(0, 1)
FAULT = st.sampled_from([None, None, None, "lost", "landed", "dead", "dead, landed"])
TIMES = [0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 3_600.0]
OFTEN = st.sampled_from([True, True, False])


class Signals(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.clock, self.truth = Clock(), Truth()
        self.folder = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        # Small, so that a short run comes to every edge.
        self.patch.setattr(backlog, "PIECE", 300)
        self.patch.setattr(subscription, "PAGE", 3)
        self.patch.setattr(replay, "PAGE", 3)
        self.patch.setattr(replay, "RING", 7)
        self.patch.setattr("signals_peers.BadJournal", WitnessedJournal)
        self.patch.setattr(WitnessedJournal, "truth", self.truth)
        self.fault, self.sent, self.repeated, self.count = None, {}, set(), 0
        self.frames = []
        self.publishers = [Publisher(self), Publisher(self)]
        self.followers = [Follower(self), Follower(self, {"A", "T"})]
        self.published, self.master = PublishedFollower(self), Master(self)
        self.begin()

    def begin(self):
        self.server = Server(
            self.folder / "data",
            self.clock,
            *("signals.queue=1500", "signals.retain=30", "signals.pace=1", "signals.backlog=4"),
            *("signals.remember=1800", "signals.errors=1000", "signals.refusals=100000"),
        )
        self.server.disk.held = True
        self.server.desk.start()
        self.fail(None)

    def fail(self, fault):
        journal = self.server.journal
        journal.landed = fault == "dead, landed"
        journal.fault = fault and fault.partition(",")[0]
        self.fault = fault

    @property
    def everybody(self):
        return [*self.publishers, *self.followers, self.published, self.master]

    def teardown(self):
        try:
            self.heal()
        finally:
            self.patch.undo()
            shutil.rmtree(self.folder)

    def heal(self):
        """When faults stop, everybody who is connected knows the truth."""
        self.fail(None)
        for each in self.publishers:
            each.leave()
        # Nobody holds the channel any more; what classic frames were refused for is over.
        self.clock.advance(LINGER)
        self.settle()
        self.check_frames()
        self.come_back()
        self.settle()
        self.come_back()  # those who were too slow have read that by now
        self.master.connect()
        self.master.publish("B", "0.5")
        self.settle()
        assert self.truth.net("B") == Decimal("0.5")
        for each in self.followers:
            each.read()
            assert each.synced
            assert each.state == self.truth.state(None, each.symbols)
        self.published.read()
        self.published.check()
        for each in self.everybody:
            each.cut(1.0)
        assert not self.server.desk.sessions
        assert self.server.desk.audience.count() == 0
        self.server.desk._expiry.stop()
        self.server.desk._inspection.stop()
        self.server.desk._looking.stop()
        self.clock.advance(LINGER)
        self.server.disk.work()
        assert self.clock.getDelayedCalls() == []

    def settle(self):
        for _ in range(15):
            self.server.disk.work()
            self.clock.advance(1)
            for each in self.everybody:
                each.read()

    def come_back(self):
        for each in self.followers:
            if each.terminal is None:
                each.connect(each.epoch is not None and each.seq is not None)
            each.terminal.transport.stalled = False
            each.terminal.transport.drain()
        if self.published.terminal is None:
            self.published.connect()

    @invariant()
    def what_is_stored_counts_without_a_hole(self):
        assert [entry.seq for entry in self.truth.entries] == list(
            range(1, len(self.truth.entries) + 1)
        )

    def check_frames(self):
        """Published frames are stored at most once each, in their order."""
        for symbol in "AB":
            sent = iter([volume for name, volume in self.frames if name == symbol])
            for entry in self.truth.entries:
                if not entry.id and entry.symbol == symbol:
                    assert entry.volume in sent

    # Publishers

    @rule(who=WHO, contents=st.lists(CONTENTS, min_size=1, max_size=6), stored=OFTEN, fault=FAULT)
    def publish(self, who, contents, stored, fault):
        self.fail(fault or self.fault)
        publisher = self.connected(self.publishers[who])
        for content in contents:
            self.count += 1
            identity = f"n{self.count}"
            self.sent[identity] = content
            publisher.publish(identity, content, fresh=True)
        self.work(stored)

    @precondition(lambda self: self.sent)
    @rule(who=WHO, data=st.data(), other=st.booleans(), stored=OFTEN)
    def resend(self, who, data, other, stored):
        identity = data.draw(st.sampled_from(sorted(self.sent)[-6:]))
        symbol, ticket, volume = self.sent[identity]
        self.repeated.add(identity)
        publisher = self.connected(self.publishers[who])
        publisher.publish(identity, (symbol, ticket, volume + 10 * other), fresh=False)
        self.work(stored)

    @rule(who=WHO)
    def say_hello_anew(self, who):
        publisher = self.connected(self.publishers[who])
        publisher.read()
        if publisher.terminal is not None:
            publisher.greet()

    @rule(contents=st.lists(st.tuples(WHO, CONTENTS), min_size=2, max_size=8))
    def publish_in_one_commit(self, contents):
        for client in self.publishers:
            self.connected(client)
        for who, content in contents:
            self.count += 1
            self.sent[f"n{self.count}"] = content
            self.publishers[who].publish(f"n{self.count}", content, fresh=True)
        self.work(True)

    @rule(symbol=st.sampled_from("AB"), volumes=VOLUMES, stored=OFTEN, fault=FAULT)
    def publish_frames(self, symbol, volumes, stored, fault):
        self.fail(fault or self.fault)
        master = self.connected(self.master)
        for volume in volumes:
            master.publish(symbol, volume)
            self.frames.append((symbol, Decimal(volume)))
        self.work(stored)

    def work(self, stored):
        """Let the disk do what waits, and publishers read, when the run is to get on."""
        # A commit of more entries than are retained would not be a small run's business.
        if stored or self.server.desk.health()["waiting"] > 12:
            self.server.disk.work()
            self.fail(None)
            self.clock.advance(1)
            self.server.disk.work()
            for each in self.publishers:
                each.read()

    # Followers

    @rule(who=WHO, resume=st.booleans(), share=SHARES, ahead=st.sampled_from([0, 0, 0, 1, 7]))
    def connect_again(self, who, resume, share, ahead):
        follower = self.followers[who]
        follower.cut(share)
        follower.connect(resume and follower.epoch is not None and follower.seq is not None, ahead)

    @rule(who=WHO, stalled=st.booleans())
    def pause_or_resume(self, who, stalled):
        terminal = self.followers[who].terminal
        if terminal is not None:
            terminal.transport.stalled = stalled
            terminal.transport.drain()

    @rule(share=SHARES)
    def connect_published_again(self, share):
        self.published.cut(share)
        self.published.connect()

    @rule(who=st.integers(0, 5), share=SHARES)
    def cut(self, who, share):
        self.everybody[who].cut(share)

    @rule()
    def everybody_reads(self):
        for each in self.everybody:
            each.read()

    # The disk, time and death

    @rule(steps=st.integers(1, 8))
    def disk_works(self, steps):
        for _ in range(steps):
            if self.server.disk.calls:
                self.server.disk.step()

    @rule(fault=FAULT)
    def disk_fails_or_heals(self, fault):
        self.fail(fault)

    @rule(seconds=st.sampled_from(TIMES))
    def time_passes(self, seconds):
        self.clock.advance(seconds)

    @rule(share=SHARES, steps=st.integers(0, 2), now=st.sampled_from([True, False, False]))
    def crash(self, share, steps, now):
        if not now:
            return
        for each in self.everybody:
            each.read(share)
        self.disk_works(steps)  # which nobody is told of any more
        for each in self.everybody:
            each.lose()
        self.clock = Clock()
        self.clock.advance(self.server.clock.seconds())
        self.server.journal.close()
        self.begin()

    def connected(self, client):
        if client.terminal is not None:
            client.read()
        if client.terminal is None:
            client.connect()
        return client


TestSignals = Signals.TestCase
TestSignals.settings = settings(
    max_examples=RUNS,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
