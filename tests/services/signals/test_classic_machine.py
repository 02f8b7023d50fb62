"""A classic follower through changes, waits, cuts and missed frames, in any order."""

from collections import Counter
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mtnet.services.signals.book import Channel, is_reduction
from mtnet.services.signals.classic.queue import ClassicQueue, SharedState, is_recent
from mtnet.services.signals.model import Entry
from mtnet.services.signals.settings import SignalSettings

DAY = 86_400_000
OLD = [f"OLD{n}" for n in range(12)]
HELD = [f"HELD{n}" for n in range(6)]
SYMBOLS = [*HELD, *OLD[:2], "NEW0", "NEW1"]
VOLUMES = st.sampled_from([0, 0, 1, 2, 3, -1])


class ClassicFollowers(RuleBasedStateMachine):
    """A book, a queue, and a client that acts on what it hears and misses a frame now and then."""

    def __init__(self):
        super().__init__()
        self.settings, self.book = SignalSettings(), Channel("main")
        self.when, self.frame_at = 0.0, -self.pace
        for number, symbol in enumerate([*OLD, *HELD]):
            age = DAY // 24 * (30 - number)
            self.store(symbol, 1, self.wall - age - 1)
            self.store(symbol, 0 if symbol in OLD else 1, self.wall - age)
        self.state = SharedState(self.book, self.settings.repeat_closed)
        self.held = {}
        self.deaf = False
        self.connect()

    @property
    def pace(self):
        return SignalSettings().pace

    @property
    def wall(self):
        return 1_000 * DAY + int(self.when * 1000)

    def store(self, symbol, volume, when):
        entry = Entry("main", symbol, Decimal(volume), when, seq=self.book.seq + 1)
        return self.book.apply(entry, when / 1000)

    @rule()
    def connect(self):
        """The connection is cut, and made anew; what the client holds it still holds."""
        self.queue = ClassicQueue(self.settings, self.state, self.when)
        flat = [self.book.net[symbol] for symbol in OLD if not self.book.volume(symbol)]
        now, recent = self.wall / 1000, self.settings.repeat_closed
        self.old = {p.symbol for p in flat if not is_recent(p, now, recent)}
        self.got, self.urgent = Counter(), {}
        self.frame_at = self.when - self.pace

    @rule(symbol=st.sampled_from(SYMBOLS), volume=VOLUMES)
    def change(self, symbol, volume):
        change = self.store(symbol, volume, self.wall)
        if change is not None:
            self.queue.offer(change, self.when)
            self.old.discard(symbol)
            self.urgent.pop(symbol, None)
            if not change.volume or is_reduction(change.previous, change.volume):
                self.urgent[symbol] = 0

    @rule(seconds=st.sampled_from([0.125, 1.0, 2.5, 5.0, 30.0, 100.0]))
    def wait(self, seconds):
        self.run(self.when + seconds)

    @rule()
    def miss(self):
        """The client trades, and misses the next frame."""
        self.deaf = True

    def run(self, until):
        while True:
            frame = self.queue.take(self.when, self.wall / 1000)
            if frame is not None:
                self.hear(frame)
                continue
            due = self.queue.due()
            if due is None or due > until:
                break
            assert due > self.when, "it would be polled in a loop"
            self.when = due
        self.when = until

    def hear(self, frame):
        symbol, _, text = frame.decode().strip("<>\r\n").partition("|")
        assert self.book.volume(symbol) == Decimal(text), "it is told of the past"
        assert self.when - self.frame_at >= self.pace
        self.frame_at = self.when
        if symbol in self.old:
            self.got[symbol] += 1
        if symbol not in self.urgent:
            self.urgent = {other: waited + 1 for other, waited in self.urgent.items()}
        self.urgent.pop(symbol, None)
        if not self.deaf:
            self.held[symbol] = Decimal(text)
        self.deaf = False

    @invariant()
    def an_old_close_is_told_at_most_twice(self):
        assert max(self.got.values(), default=0) <= 2

    @invariant()
    def a_close_waits_for_other_closes_and_a_share_of_the_frames(self):
        # Each third frame is shared; before the third, closes alone are told.
        assert max(self.urgent.values(), default=0) <= 1 + len(SYMBOLS) // 2

    def teardown(self):
        """However it went, a client that listens for 6 minutes holds what the provider holds."""
        self.deaf = False
        self.run(self.when + 360)
        known = {symbol: self.book.volume(symbol) for symbol in self.book.net}
        assert {symbol: self.held.get(symbol, 0) for symbol in known} == known


ClassicFollowers.TestCase.settings = settings(
    ClassicFollowers.TestCase.settings, stateful_step_count=40
)
TestClassicFollowers = ClassicFollowers.TestCase
