"""
Whatever breaks, no signal is lost, applied twice, or out of order.

Publishers, followers and the server are the real ones; connections break at any byte, readers
stand still, the daemon is killed, its disk refuses or lies or cannot be read, a second publisher
takes over, the channel is paused, an older copy of the data folder is put back, the clock jumps.
Everybody comes by TCP, TLS, WebSocket or HTTP; programs that keep their state, as those of
asyncio and of scripts do, die at any entry.
"""

import os
from contextlib import suppress
from decimal import Decimal

from fakes.clients import Harness
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from story_steps import Accounts, ClockJumps, Histories

from mtnet.errors import ClientError, JournalError, WireError
from mtnet.interfaces import ISignals

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "0"))
"""How many random runs to search for faults; 0 = the same 50 each time, so that a change of
something else never fails by chance."""
ROADS = st.sampled_from(["tcp", "tls", "websocket", "http"])


class Disk:
    """
    Stands before a journal; `refuses` before anything is written, or `lies` behind that, or is
    `blind` and cannot be read.
    """

    def __init__(self):
        self.heal()

    def heal(self):
        self.refuses = self.lies = self.blind = False

    def before(self, journal):
        take, look = journal.commit, journal.recover
        read, hash_at = journal.read, journal.hash_at

        def seen(function):
            def look(*asked):
                if self.blind:
                    raise JournalError("The disk cannot be read.")
                return function(*asked)

            return look

        def commit(drafts, judge):
            if self.refuses:
                raise JournalError("The disk is full.")
            outcomes = take(drafts, judge)
            if self.lies:
                raise JournalError("The disk did not answer.")
            return outcomes

        def recover(known):
            if self.refuses:
                raise JournalError("The disk is still full.")
            return look(known)

        journal.commit, journal.recover = commit, recover
        journal.read, journal.hash_at = seen(read), seen(hash_at)


class Story(Accounts, Histories, ClockJumps, RuleBasedStateMachine):
    """What is stored is the model: every answer, and every follower, is compared with it."""

    folders = None

    @initialize(
        retain=st.sampled_from([5, 1_000]), counted=st.booleans(), silent=st.booleans(), road=ROADS
    )
    def begin(self, retain, counted, silent, road):
        self.let_clocks_jump()
        self.disk = Disk()
        self.harness = Harness(self.folders.mktemp("story") / "data", f"signals.retain={retain}")
        self.disk.before(self.harness.env.find(ISignals).worker.journal)
        self.providers, self.counted, self.asked = [], None, {}
        if counted:
            self.open_account(silent, name="account", road=road)
        else:
            self.providers.append(self.harness.publisher(name="hand", road=road))
        self.followers = [
            self.harness.follower(),
            self.harness.follower(symbols=["A"]),
            self.harness.follower(road="tls"),
            self.harness.follower(road="websocket"),
            self.harness.follower(road="http"),
        ]
        self.keepers = [self.harness.keeper(road=road) for road in self.harness.factories]

    @rule(symbol=st.sampled_from("ABC"), volume=st.integers(-3, 3), who=st.integers(0, 1))
    def publish(self, symbol, volume, who):
        provider = self.providers[-1 - who % len(self.providers)]
        if provider is not self.counted:
            self.publish_by(provider, symbol, volume)

    def publish_by(self, provider, symbol, volume):
        identity = f"n{len(self.asked)}"
        try:
            provider.publish(symbol, str(volume), id=identity)
        except ClientError:
            return  # it was fenced
        self.asked[identity] = (symbol, Decimal(volume))

    @rule(number=st.integers(0, 13), there=st.integers(0, 400), back=st.integers(0, 400))
    def carry(self, number, there, back):
        """Let so many bytes arrive at most."""
        line = self.harness.lines[number % len(self.harness.lines)]
        if line.connections:
            line.connection.carry(there, back)

    @rule(number=st.integers(0, 13))
    def cut(self, number):
        line = self.harness.lines[number % len(self.harness.lines)]
        if line.connections:
            line.connection.cut()

    @rule(number=st.integers(0, 13))
    def stand_still(self, number):
        line = self.harness.lines[number % len(self.harness.lines)]
        if line.connections:
            line.connection.stalled = True

    @rule(seconds=st.sampled_from([0.1, 1.0, 7.0]))
    def wait(self, seconds):
        self.harness.clock.advance(seconds)

    @rule(refuses=st.booleans(), lies=st.booleans(), blind=st.booleans())
    def spoil(self, refuses, lies, blind):
        self.disk.refuses, self.disk.lies, self.disk.blind = refuses, lies, blind

    @rule()
    def kill(self):
        self.start()

    def start(self, folder=None):
        """Kill the daemon and start one."""
        self.harness.restart(folder)
        self.disk.before(self.harness.env.find(ISignals).worker.journal)

    @rule(take=st.sampled_from(["1", "free"]), name=st.sampled_from(["rival", "other"]), road=ROADS)
    def rival(self, take, name, road):
        """A second publisher comes, who fences the first, or is fenced."""
        if len(self.providers) < 3:
            self.providers.append(self.harness.publisher(road=road, take=take, name=name))

    @rule(
        number=st.integers(0, 4),
        symbols=st.sampled_from([None, ["A"], ["A", "B"], ["B", "C"]]),
        seconds=st.sampled_from([0, 0, 7]),
    )
    def start_again(self, number, symbols, seconds):
        """A follower's program is started again, perhaps for other symbols."""
        self.harness.pass_time(seconds)
        former = self.followers[number]
        former.follower.stopService()
        self.followers[number] = self.harness.follower(
            road=former.road, symbols=symbols, **former.kept
        )
        self.followers[number].unknown = former.unknown

    @rule(number=st.integers(0, 3), entries=st.integers(0, 3))
    def work(self, number, entries):
        """A program of asyncio, or a script, handles some of what waits for it."""
        self.keepers[number].work(entries)

    @rule(number=st.integers(0, 3), acted=st.booleans())
    def kill_a_program(self, number, acted):
        self.keepers[number].die(acted)

    @rule(command=st.sampled_from(["pause", "freeze", "resume", "flatten"]))
    def operate(self, command):
        """A person pauses the channel, flattens it, or lets it go on."""
        with suppress(WireError):  # nothing was published yet
            self.harness.operate(command)

    @rule()
    def settle(self):
        """Faults stop; everybody must have the truth within seconds."""
        self.disk.heal()
        for line in self.harness.lines:
            if line.connections:
                line.connection.stalled = False
        self.harness.pass_time(40)
        for follower in self.followers:
            self.check(follower)
        for keeper in self.keepers:
            self.check_keeper(keeper)
        for provider in self.providers:
            assert not provider.publisher.waiting

    def check_keeper(self, keeper):
        keeper.work()
        if keeper.follower.held:
            assert self.went_back
        elif self.harness.env.find(ISignals).channel("main").seq:
            assert keeper.shows(self.harness.held())

    def check(self, follower):
        if follower.follower.held:
            self.check_held(follower)
        else:
            held = self.harness.held()
            names = follower.symbols
            wanted = {k: v for k, v in held.items() if names is None or k[0] in names}
            assert follower.shows(wanted)
        names = follower.symbols
        gone = {symbol for symbol in follower.given_back if names and symbol in names}
        assert not gone, "only what is not followed is given back"
        assert follower.blind[-1] == ""
        assert self.went_back or "new epoch" not in follower.events

    @property
    def answers(self):
        """Return the entry that each signal was told to be."""
        return {k: v for provider in self.providers for k, v in provider.answers.items()}

    @invariant()
    def answers_are_true(self):
        if not hasattr(self, "harness"):
            return
        for follower in self.followers:
            assert follower.seqs == sorted(set(follower.seqs)), "strictly rising"
        for keeper in self.keepers:
            taken = keeper.taken[keeper.began :]
            assert taken == sorted(set(taken)), "strictly rising in a run"
        answers = self.answers
        assert len(answers) == len(set(answers.values())), "no entry answers two signals"

    def teardown(self):
        if not hasattr(self, "harness"):
            return
        try:
            self.end()
        finally:
            self.patch.undo()

    def end(self):
        self.settle()
        self.operate("resume")
        self.count_account()
        for follower in self.followers:
            follower.accept()
        for keeper in self.keepers:
            keeper.accept()
        self.settle()
        self.check_account()
        journal = self.harness.env.find(ISignals).worker.journal
        state = journal.positions("main")
        kept = journal.read("main", state.oldest - 1, 10_000)
        assert [entry.seq for entry in kept] == list(range(state.oldest, state.seq + 1))
        named = [entry for entry in kept if entry.id]
        ids = [entry.id for entry in named]
        assert len(ids) == len(set(ids)), "nothing is applied twice"
        for entry in named:  # a person's closing has none
            asked = self.asked.get(entry.id)
            counted = asked is None and self.counted is not None
            assert (entry.symbol, entry.volume) == asked or (
                counted and (not entry.volume or (entry.symbol, entry.volume) in self.account.were)
            )
        for identity, seq in self.answers.items():
            assert seq < state.oldest or kept[seq - state.oldest].id == identity


def test_whatever_breaks_nothing_is_lost_doubled_or_out_of_order(tmp_path_factory):
    Story.folders = tmp_path_factory
    case = Story.TestCase()
    case.settings = settings(
        max_examples=RUNS or 50, derandomize=not RUNS, stateful_step_count=40, deadline=None
    )
    case.runTest()
