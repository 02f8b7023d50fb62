"""Publishers, followers, pauses, a disk that fails and a daemon that dies, in any order."""

import os
import shutil
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from machine_histories import ClockJumps, Rollbacks
from machine_http import HttpClients, site_of
from machine_pauses import Pauses
from publish_rules import Limits, Rules
from signals_model import (
    ClassicFollower,
    Content,
    Follower,
    Master,
    Publisher,
    Truth,
    WitnessedJournal,
)
from signals_peers import Server
from twisted.internet.task import Clock

from mtnet.net.output import queue
from mtnet.services.signals import replay_cache, subscription
from mtnet.services.signals.http.expiry import PRESENT, STEP
from mtnet.services.signals.journal.upkeep import EXPIRY
from mtnet.services.signals.ownership.ownership import KEPT
from mtnet.services.signals.ownership.publishers import HELD, LINGER
from mtnet.services.signals.status.report import Status

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "0"))
"""How many random runs to search for faults; 0 = the same 50 each time, so that a change of
something else never fails by chance."""
SHARES = st.floats(0, 1)
LOTS = st.sampled_from([Decimal(number) for number in (0, 1, 2, -3)])
TICKETS = st.sampled_from("12")
CONTENTS = st.one_of(
    st.tuples(st.sampled_from("AABBC"), st.just(""), LOTS),
    st.tuples(st.just("T"), TICKETS, LOTS),
    st.tuples(st.just("T"), TICKETS, LOTS.map(abs), st.just("buy_limit")),
    st.tuples(st.just("A"), st.just(""), LOTS, st.just("position"), st.just("1.5")),
    st.tuples(st.sampled_from("TD"), st.just(""), st.just(Decimal(0))),
).map(lambda found: Content(*found))
TAKES = st.sampled_from([None, None, "free", "free", "1", "0"])
FRAMES = st.sampled_from("AABBCT")
VOLUMES = st.lists(st.sampled_from(["0.00", "1.00", "-2.50"]), min_size=1, max_size=4)
WHO = st.integers(0, 1)
FAULT = st.sampled_from([None, None, None, "lost", "landed", "dead", "dead, landed", "unreadable"])
TIMES = [0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 3_600.0]
OFTEN = st.sampled_from([True, True, False])
RAILS = {"symbols": ("A", "B", "T"), "max_volume": Decimal(3), "max_change": Decimal(2)}


class Signals(HttpClients, Pauses, Rollbacks, ClockJumps, RuleBasedStateMachine):
    @initialize(
        rails=st.booleans(),
        symbols=st.sampled_from([3, 1_000]),
        positions=st.sampled_from([3, 1_000]),
        names=st.sampled_from([("one", "two"), ("one", "two"), ("", "")]),
    )
    def begin_anew(self, rails, symbols, positions, names):
        self.clock, self.truth = Clock(), Truth()
        self.rules = self.truth.rules = Rules(Limits(symbols, positions, RAILS if rails else None))
        self.folder = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        # Small, so that a short run comes to every edge.
        self.patch.setattr(queue, "PIECE", 300)
        self.patch.setattr(subscription, "PAGE", 3)
        self.patch.setattr(replay_cache, "PAGE", 3)
        self.patch.setattr(replay_cache, "RING", 7)
        self.patch.setattr("signals_peers.BadJournal", WitnessedJournal)
        self.patch.setattr(WitnessedJournal, "truth", self.truth)
        self.fault, self.sent, self.repeated, self.count = None, {}, set(), 0
        self.frames, self.modes = [], [None]
        self.remember_nothing()
        self.publishers = [Publisher(self, name) for name in names]
        self.followers = [Follower(self), Follower(self, {"A", "T"})]
        self.classic = ClassicFollower(self)
        self.masters = [Master(self, "127.0.0.2"), Master(self, "127.0.0.3")]
        self.rules.masters = self.masters
        self.join_by_http()
        self.begin()

    def begin(self):
        limits = self.rules.limits
        self.server = Server(
            self.folder / "data",
            self.clock,
            *("signals.queue=1500", "signals.retain=30", "signals.pace=1", "signals.backlog=4"),
            *("signals.errors=1000", "signals.refusals=100000"),
            f"signals.max_symbols={limits.symbols}",
            f"signals.max_positions={limits.positions}",
            *(self.rail_settings() if limits.rails else ()),
            now=self.wall_clock(),
        )
        self.server.env.now.check_start()
        self.server.disk.held = True
        # A crash may come before it is kept who holds the channel.
        holder = self.server.signals.rules.ownership.holders.get("main")
        self.rules.restart(holder, self.clock.seconds())
        self.forget_pauses()
        self.note_start()
        self.watch(self.server.signals)
        self.server.web = site_of(self.server)
        self.server.start()
        self.note_run()
        self.fail(None)

    @staticmethod
    def rail_settings():
        for key, value in RAILS.items():
            text = ",".join(value) if key == "symbols" else value
            yield f"signals.channels.main.{key}={text}"

    def watch(self, signals):
        """Tell the rules when commits are judged and stored, and when publishers go."""
        make, leave, resume = signals.commits._begin, signals.leave, signals.resume

        def begin(batch, when):
            self.rules.begin(batch, when)
            commit = make(batch, when)
            finish = commit.policy.finish

            def stored():
                self.rules.committed()
                finish()

            commit.policy.finish = stored
            return commit

        def gone(publisher, bye=False):
            self.rules.leave(publisher, bye, self.clock.seconds())
            leave(publisher, bye)

        def back(publisher, channel):
            self.rules.resume(publisher)
            resume(publisher, channel)

        signals.commits._begin, signals.leave, signals.resume = begin, gone, back

    def fail(self, fault):
        journal = self.server.journal
        journal.landed = fault == "dead, landed"
        journal.fault = fault and fault.partition(",")[0]
        self.fault = fault

    @property
    def everybody(self):
        sessions = *self.publishers, *self.followers, self.classic, *self.masters
        return [*sessions, *self.providers, *self.pollers]

    def teardown(self):
        try:
            if hasattr(self, "server"):
                self.heal()
        finally:
            if hasattr(self, "patch"):
                self.patch.undo()
                shutil.rmtree(self.folder)

    def heal(self):
        """When faults stop, everybody who is connected knows the truth."""
        self.fail(None)
        self.clock_jumps(0)
        self.settle()
        self.check_pauses()
        owed = self.rules.owing()
        self.pause("resume")
        for each in self.publishers:
            each.leave()
        self.check_pollers()
        # Nobody holds the channel any more; what classic frames were refused for is over.
        self.clock.advance(PRESENT + 2 * STEP)
        self.clock.advance(HELD)
        self.settle()
        assert not self.rules.owed, "a reduction that a frozen channel refused is lost"
        assert all(publisher.gone for publisher in owed)
        self.check_frames()
        self.come_back()
        self.settle()
        self.come_back()  # those who were too slow have read that by now
        self.check_masters()
        for each in self.followers:
            each.read()
            assert each.synced
            each.accept()
            assert each.state == self.truth.state(None, each.symbols)
        self.classic.read()
        self.classic.check()
        self.check_closes()
        self.all_is_as_it_must_be()
        self.check_pollers()
        for each in self.everybody:
            each.cut(1.0)
        self.clock.advance(PRESENT + 2 * STEP)
        self.check_that_nothing_is_left()

    def check_masters(self):
        """Whoever is alone sets the channel, whatever was refused before."""
        for each in self.masters:
            each.cut(1.0)
        self.clock.advance(KEPT)  # for those who were closed
        for each in self.masters:
            if each.account:
                each.connect()
            self.settle()
            refused = self.rules.refusals()
            for symbol, volume in each.account.items():
                if symbol not in refused:
                    assert self.truth.net(symbol) == Decimal(volume)
            assert set(refused.values()) <= {"field", "closed"}
            each.cut(1.0)

    def volumes(self, symbol):
        """Return the net positions that a symbol may have by now."""
        known = self.server.signals.positions("main").get(symbol)
        return {self.truth.net(symbol), known.volume if known else Decimal(0)}

    def check_closes(self):
        """Who comes now is told of what was closed before, however the clock jumped."""
        self.clock_jumps(400)
        self.clock.advance(EXPIRY)
        self.server.disk.work()
        self.clock_jumps(0)
        # One symbol more takes the place of one that was closed.
        if len(self.truth.known) <= self.rules.limits.symbols:
            self.classic.connect()
            self.settle(60)
            assert self.classic.got.keys() >= self.remembered()

    def check_that_nothing_is_left(self):
        assert not self.server.signals.channels.sessions
        assert self.server.signals.fanout.count() == 0
        self.server.signals.worker.scrubber.stop()
        for loop in self.server.upkeep.loops.values():
            loop.stop()
        self.clock.advance(LINGER)
        self.server.disk.work()
        assert self.clock.getDelayedCalls() == []

    def settle(self, seconds=15):
        for _ in range(seconds):
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
        if self.classic.terminal is None:
            self.classic.connect()
        for each in self.masters:
            if each.terminal is None and each.account:
                each.connect()

    @invariant()
    def all_is_as_it_must_be(self):
        if hasattr(self, "truth"):
            for error in self.truth.wrong:
                raise error
            self.check_presence()
            self.note_run()
            seqs = [entry.seq for entry in self.truth.entries]
            assert seqs == list(range(1, len(seqs) + 1))

    def check_presence(self):
        """A publisher is there when something of one is stored who has not gone."""
        up, _ = self.server.signals.rules.presence_of("main")
        claims = any(each.claims for each in self.masters)
        assert up == bool(self.rules.present) or (up and claims)

    def check_frames(self):
        """Classic frames are stored at most once each, in the order of their publisher."""
        for key in {frame[:2] for frame in self.frames}:
            sent = iter([volume for *name, volume in self.frames if tuple(name) == key])
            for *name, volume in self.rules.frames:
                if tuple(name) == key:
                    assert volume in sent

    # Publishers

    @rule(
        who=WHO,
        contents=st.lists(CONTENTS, min_size=1, max_size=6),
        take=TAKES,
        stored=OFTEN,
        fault=FAULT,
    )
    def publish(self, who, contents, take, stored, fault):
        self.fail(fault or self.fault)
        publisher = self.connected(self.publishers[who])
        for content in contents:
            self.count += 1
            identity = f"n{self.count}"
            self.sent[identity] = content
            publisher.publish(identity, content, True, take)
        self.work(stored)

    @precondition(lambda self: self.sent)
    @rule(who=WHO, data=st.data(), other=st.booleans(), take=TAKES, stored=OFTEN)
    def resend(self, who, data, other, take, stored):
        identity = data.draw(st.sampled_from(sorted(self.sent)[-6:]))
        content = self.sent[identity]
        self.repeated.add(identity)
        publisher = self.connected(self.publishers[who])
        content = content._replace(volume=content.volume + 10 * other)
        publisher.publish(identity, content, False, take)
        self.work(stored)

    @rule(who=WHO)
    def say_hello_anew(self, who):
        publisher = self.connected(self.publishers[who])
        publisher.read()
        if publisher.terminal is not None:
            publisher.greet()

    @rule(contents=st.lists(st.tuples(WHO, CONTENTS, TAKES), min_size=2, max_size=8))
    def publish_in_one_commit(self, contents):
        for client in self.publishers:
            self.connected(client)
        for who, content, take in contents:
            self.count += 1
            self.sent[f"n{self.count}"] = content
            self.publishers[who].publish(f"n{self.count}", content, True, take)
        self.work(True)

    @rule(who=WHO, symbol=FRAMES, volumes=VOLUMES, stored=OFTEN, fault=FAULT)
    def publish_frames(self, who, symbol, volumes, stored, fault):
        self.fail(fault or self.fault)
        master = self.connected(self.masters[who])
        for volume in volumes:
            master.publish(symbol, volume)
        self.work(stored)

    def work(self, stored):
        """Let the disk do what waits, and publishers read, when the run is to get on."""
        # A commit of more entries than are retained would not be a small run's business.
        if stored or Status(self.server.signals).health()["waiting"] > 12:
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
    def stand_still_or_read(self, who, stalled):
        terminal = self.followers[who].terminal
        if terminal is not None:
            terminal.transport.stalled = stalled
            terminal.transport.drain()

    @rule(share=SHARES)
    def connect_classic_again(self, share):
        self.classic.cut(share)
        self.classic.connect()

    @rule(who=st.integers(0, 10), share=SHARES)
    def cut(self, who, share):
        self.everybody[who].cut(share)

    @rule()
    def everybody_reads(self):
        for each in self.everybody:
            each.read()

    @rule()
    def everybody_comes_back(self):
        self.come_back()
        self.settle(2)

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
        if now:
            self.die(share, steps)
            self.begin()

    def die(self, share, steps):
        for each in self.everybody:
            each.read(share)
        self.disk_works(steps)  # which nobody is told of any more
        for each in self.everybody:
            each.lose()
        self.note_run()
        self.clock = Clock()
        self.clock.advance(self.server.clock.seconds())
        self.server.journal.close()

    def connected(self, client):
        if client.terminal is not None:
            client.read()
        if client.terminal is None:
            client.connect()
        return client


TestSignals = Signals.TestCase
TestSignals.settings = settings(
    max_examples=RUNS or 50,
    derandomize=not RUNS,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
