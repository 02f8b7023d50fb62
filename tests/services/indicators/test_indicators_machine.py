"""
Indicators against a model, over kills of the daemon, cuts and followers that do not read for a
while.

What CALCED has said is kept, and nothing else; a follower is sent the last bars and each change
behind them, and ends with the values that are kept.
"""

import os
import shutil
import tempfile
from pathlib import Path

from fakes.threads import ManualThread
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.internet.task import Clock

from mtnet.interfaces import IMetrics
from mtnet.services.indicators.store import IndicatorStore
from mtnet.services.indicators.wire import ANSWERS, Series
from mtnet.session.grammar import parse, payloads
from mtnet.testing import connect, make_environment

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "8"))
KEEP = 4
SERIES = (Series("RSI", "EURUSD", "H1"), Series("MA", "X", "M1"))
SETS = (
    "indicators.enabled=true",
    f"indicators.keep={KEEP}",
    "indicators.backlog=5",
)


FOLLOWERS = st.integers(1, 3)
CALCS = st.tuples(
    st.sampled_from(SERIES), st.integers(0, 9), st.booleans(), st.sampled_from([False] * 3 + [True])
)


def fields(series):
    return f"name={series.name}|symbol={series.symbol}|period={series.period}".encode()


class Client:
    """A session, what it follows, and what it was and should have been sent of that."""

    def __init__(self, terminal):
        self.terminal, self.answers = terminal, []
        self.found, self.wanted = {}, {}

    @property
    def queue(self):
        return self.terminal.protocol._session.queue

    @property
    def reads(self):
        transport = self.terminal.transport
        return not transport.stalled and transport.producerState != "paused"

    def read(self):
        for payload in payloads(self.terminal.received()):
            message = parse(payload)
            found = ANSWERS[message.verb](message) if message.verb in ANSWERS else message
            if message.verb == "VALUE":
                self.found[found.series][found.bar] = (found.values, found.open)
            elif message.verb == "INDICATED":
                self.found[found.series] = {}
            elif "id" in message.fields:
                self.answers.append((message.fields["id"], message.verb, message.fields))


class IndicatorMachine(RuleBasedStateMachine):
    """One terminal computes, three follow; each that is cut comes again."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="indicators-"))
        self.clock, self.open = Clock(), []
        self.kept = {series: {} for series in SERIES}
        self.sent, self.outcomes = [], []
        self.begin()

    def teardown(self):
        shutil.rmtree(self.folder)

    def begin(self):
        env = make_environment(self.folder / "data", self.clock, *SETS)
        self.factory, self.thread = env.factory("signals"), ManualThread()
        indicators = IMetrics(env.components.services["indicators"])._indicators
        store, begin = indicators.book.commit._store, indicators.broadcast.begin
        indicators.book.commit._in_thread = indicators.book._in_thread = self.thread

        def stored(changes):
            numbers = store(changes)
            for change, number in zip(changes, numbers, strict=True):
                self.committed(change.value, number)
            return numbers

        def begun(subscription, values):
            (client,) = [each for each in self.open if each.queue is subscription.queue]
            client.wanted[subscription.series] = {
                value.bar: (value.values, value.open) for value in values
            }
            bars = self.kept[subscription.series]
            last = [(bar, *bars[bar]) for bar in sorted(bars)][-len(values) :] if values else []
            assert [(value.bar, value.values, value.open) for value in values] == last
            begin(subscription, values)

        indicators.book.commit._store, indicators.broadcast.begin = stored, begun
        self.open = [self.arrive() for _ in range(4)]

    def committed(self, value, number):
        """Note what the disk has taken."""
        bars = self.kept[value.series]
        too_old = len(bars) == KEEP and value.bar < min(bars)
        assert bool(number) != too_old
        self.outcomes.append("denied" if too_old else "CALCED")
        if not too_old:
            bars[value.bar] = (value.values, value.open)
            if len(bars) > KEEP:
                del bars[min(bars)]
            for client in self.open:
                if value.series in client.wanted:
                    client.wanted[value.series][value.bar] = (value.values, value.open)

    def say(self, client, frame):
        client.terminal.send(frame)
        self.clock.advance(0)

    def arrive(self):
        client = Client(connect(self.factory, self.clock))
        self.say(client, b"<<HELLO|v=2>>")
        return client

    @rule(
        number=FOLLOWERS,
        series=st.sampled_from(SERIES),
        bars=st.integers(0, 6),
        stalls=st.booleans(),
        calcs=st.lists(CALCS, max_size=2),
    )
    def follow(self, number, series, bars, stalls, calcs):
        """Ask for values; some may come before the disk has read the first ones."""
        client = self.open[number]
        if client.reads:
            client.wanted.pop(series, None)
            self.say(client, b"<<INDICATOR|%b|bars=%d>>" % (fields(series), bars))
            client.read()
            client.terminal.transport.stalled = stalls
            self.calc(calcs)

    @rule(calcs=st.lists(CALCS, min_size=1, max_size=4))
    def calc(self, calcs):
        client = self.open[0]
        for series, bar, opened, empty in calcs if client.reads else ():
            id = str(len(self.sent))
            self.sent.append(id)
            values = "" if empty else id
            more = f"|bar={bar}|values={values}|open={opened:d}|id={id}>>"
            self.say(client, b"<<CALC|" + fields(series) + more.encode())

    @rule(all=st.booleans())
    def disk(self, all):
        if self.thread.calls:
            self.thread.work() if all else self.thread.step()

    @rule()
    def disk_is_full(self):
        if self.thread.calls:
            _, function, arguments = self.thread.calls[0]
            if function.__name__ == "stored":
                self.outcomes += ["server"] * len(arguments[0])
            self.thread.full = True
            self.thread.step()
            self.thread.full = False

    @rule(number=FOLLOWERS)
    def read_again(self, number):
        self.open[number].terminal.transport.stalled = False
        self.open[number].terminal.transport.drain()

    @rule(number=st.integers(0, 3))
    def cut(self, number):
        self.open[number].terminal.hang_up()
        self.open[number] = self.arrive()

    @rule()
    def kill(self):
        """Nothing of the daemon is closed, and what waits for the disk is gone."""
        del self.sent[len(self.outcomes) :]
        self.begin()

    @invariant()
    def each_is_sent_what_it_should(self):
        self.clock.advance(0)
        for client in self.open:
            if not client.terminal.transport.stalled:
                client.read()
                for series, wanted in client.wanted.items():
                    assert client.found[series] == wanted

    @invariant()
    def what_is_said_of_values_is_what_became_of_them(self):
        for client in self.open:
            for id, verb, answer in client.answers:
                outcome = self.outcomes[self.sent.index(id)]
                assert outcome == (verb if verb == "CALCED" else answer["code"])
        if not self.thread.calls:
            assert len(self.outcomes) == len(self.sent)

    @invariant()
    def the_disk_has_what_was_kept(self):
        store = IndicatorStore(self.folder / "data" / "indicators.sqlite", KEEP)
        store.open()
        for series, bars in self.kept.items():
            found = {
                each.value.bar: (each.value.values, each.value.open)
                for each in store.last(series, 100)
            }
            assert found == bars
        store.close()


TestIndicators = IndicatorMachine.TestCase
TestIndicators.settings = settings(max_examples=RUNS, stateful_step_count=50, deadline=None)
