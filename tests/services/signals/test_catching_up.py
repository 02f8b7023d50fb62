"""What a follower of dialect 2 is sent when it comes, and how that becomes news."""

from decimal import Decimal

import pytest
from twisted.internet.defer import Deferred

from mtnet.interfaces import ISignals
from mtnet.net.endpoints import Listener
from mtnet.services.signals import replay_cache
from mtnet.services.signals.model import Entry
from mtnet.services.signals.subscription import PAGE
from mtnet.session.grammar import FrameDecoder, parse
from mtnet.testing import connect


class Slow:
    """Threads that answer when the test says so."""

    def __init__(self, run):
        self._run, self.waiting, self.held, self.late = run, [], False, False

    def __call__(self, function, *args):
        if not (self.held or self.late):
            return self._run(function, *args)
        done = Deferred()
        if self.late:  # it is done at once, and told later
            result = function(*args)
            self.waiting.append(lambda: done.callback(result))
            return done
        self.waiting.append(lambda: done.callback(function(*args)))
        return done

    def work(self, held=False):
        self.held = held
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each()


class Client:
    """A connection that has said HELLO."""

    def __init__(self, factory, clock):
        self.clock, self.terminal = clock, connect(factory, clock)
        self.decoder = FrameDecoder(4_096, 8_192)
        self.say("HELLO|v=2")
        (self.welcome,) = self.heard()

    def say(self, payload):
        self.terminal.send(f"<<{payload}>>".encode())

    def heard(self, *verbs):
        """Return (verb, fields) of what came since the last call."""
        found = []
        while data := self.terminal.received():  # which makes room for more
            found += [parse(each) for each in self.decoder.feed(data)]
            self.clock.advance(0)
        return [(m.verb, m.fields) for m in found if not verbs or m.verb in verbs]

    def seqs(self):
        return [int(fields["seq"]) for _, fields in self.heard("SIGNAL")]


class Port:
    def __init__(self, env, clock):
        self.env, self.clock, self.signals = env, clock, env.find(ISignals)
        self.factory = env.factory("signals", Listener("signals", "tcp:8081"))
        self.thread = Slow(self.signals.worker.in_thread)
        self.signals.worker.in_thread = self.thread
        self.provider = self.signals.join("provider", None)
        self.count = 0

    def store(self, number=1, symbol="GBPUSD"):
        for _ in range(number):
            self.count += 1
            draft = Entry("main", symbol, Decimal(self.count), 0, id=f"n{self.count}")
            self.signals.publish(self.provider, draft)

    def dial(self):
        return Client(self.factory, self.clock)

    @property
    def epoch(self):
        return self.signals.channel("main").epoch


@pytest.fixture
def port(env_with, clock):
    return lambda *sets: Port(env_with(*sets), clock)


def verbs(heard):
    return [verb for verb, _ in heard]


def test_a_client_without_history_is_sent_a_snapshot(port):
    port = port()
    port.store(2)
    port.store(1, "EURUSD")
    client = port.dial()
    client.say("SUBSCRIBE|channel=main")
    heard = client.heard()
    assert verbs(heard) == ["SNAPSHOT", "POSITION", "POSITION", "SYNCED", "STATUS"]
    assert heard[0][1] == {"channel": "main", "epoch": port.epoch, "seq": "3", "count": "2"}
    assert [(f["symbol"], f["volume"], f["seq"]) for _, f in heard[1:3]] == [
        ("GBPUSD", "2", "2"),
        ("EURUSD", "3", "3"),
    ]


@pytest.mark.parametrize("after", range(5))
def test_a_client_with_history_is_sent_later_entries(port, after):
    port = port()
    port.store(4)
    client = port.dial()
    client.say(f"SUBSCRIBE|channel=main|epoch={port.epoch}|after={after}")
    heard = client.heard()
    assert verbs(heard) == ["SIGNAL"] * (4 - after) + ["SYNCED", "STATUS"]
    assert [int(f["seq"]) for v, f in heard if v == "SIGNAL"] == list(range(after + 1, 5))


@pytest.mark.parametrize(
    "known",
    ["epoch=00000000000000aa|after=2", "after=2", "epoch={}", "epoch={}|after=5"],
    ids=["another journal", "no journal", "no number", "a number that is not there"],
)
def test_a_client_with_another_history_is_sent_a_snapshot(port, known):
    port = port()
    port.store(4)
    client = port.dial()
    client.say(f"SUBSCRIBE|channel=main|{known.format(port.epoch)}")
    assert verbs(client.heard())[0] == "SNAPSHOT"


def test_a_client_that_asks_for_pruned_entries_is_sent_a_snapshot(port):
    port = port("signals.retain=10")
    port.store(2_000)
    client = port.dial()
    client.say(f"SUBSCRIBE|channel=main|epoch={port.epoch}|after=1")
    assert verbs(client.heard()) == ["SNAPSHOT", "POSITION", "SYNCED", "STATUS"]


@pytest.mark.parametrize("number", [PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 1])
def test_a_long_replay_comes_page_by_page_and_whole(port, number):
    port = port()
    port.store(number)
    client = port.dial()
    client.say(f"SUBSCRIBE|channel=main|epoch={port.epoch}|after=0")
    assert client.seqs() == list(range(1, number + 1))


def test_what_is_stored_during_a_replay_comes_once_and_in_its_place(port):
    port = port()
    port.store(PAGE + 2)
    client = port.dial()
    port.thread.held = True
    client.say(f"SUBSCRIBE|channel=main|epoch={port.epoch}|after=0")
    for _ in range(4):
        port.store(1)  # commits wait behind the reads
        port.thread.work(held=True)
    port.thread.work()
    port.store(1)
    assert client.seqs() == list(range(1, port.count + 1))


def test_what_a_commit_has_not_told_yet_is_in_no_replay(port):
    port = port()
    port.store(1)
    client = port.dial()
    port.thread.late = True
    port.store(1)
    commit = port.thread.waiting.pop()
    port.thread.late = False
    client.say(f"SUBSCRIBE|channel=main|epoch={port.epoch}|after=0")
    assert client.seqs() == []
    for _ in range(replay_cache.PATIENCE + 2):
        port.clock.advance(replay_cache.PAUSE)
    assert client.seqs() == [1]
    commit()
    assert client.seqs() == [2]


def test_what_is_stored_during_a_snapshot_comes_behind_it(port):
    port = port()
    for number in range(PAGE + 2):
        port.store(1, f"S{number}")
    client = port.dial()
    client.say("SUBSCRIBE|channel=main")
    port.store(3)
    heard = client.heard()
    assert verbs(heard)[0] == "SNAPSHOT"
    synced = next(int(f["seq"]) for v, f in heard if v == "SYNCED")
    later = [int(f["seq"]) for v, f in heard if v == "SIGNAL"]
    assert later == list(range(synced + 1, port.count + 1))


def test_a_filtered_follower_is_told_what_was_sent_before(port):
    port = port()
    client = port.dial()
    port.store(1, "EURUSD")
    client.say("SUBSCRIBE|channel=main|symbols=EURUSD,USDJPY")
    client.heard()
    for symbol in ("GBPUSD", "EURUSD", "GBPUSD", "USDJPY", "EURUSD"):
        port.store(1, symbol)
    assert [(f["seq"], f["prev"]) for _, f in client.heard("SIGNAL")] == [
        ("3", "1"),
        ("5", "3"),
        ("6", "5"),
    ]


def test_a_filtered_replay_begins_at_what_was_asked_for(port):
    port = port()
    for symbol in ("A", "B", "A", "B", "A"):
        port.store(1, symbol)
    client = port.dial()
    client.say(f"SUBSCRIBE|channel=main|epoch={port.epoch}|after=1|symbols=A")
    heard = client.heard("SIGNAL", "SYNCED")
    assert [(f["seq"], f.get("prev")) for _, f in heard] == [("3", "1"), ("5", "3"), ("5", None)]
    port.store(1, "A")
    assert [(f["seq"], f["prev"]) for _, f in client.heard("SIGNAL")] == [("6", "5")]


def test_a_second_subscription_replaces_the_filter(port):
    port = port()
    client = port.dial()
    client.say("SUBSCRIBE|channel=main|symbols=A")
    client.say(f"SUBSCRIBE|channel=main|epoch={port.epoch}|after=0|symbols=B")
    client.heard()
    port.store(1, "A")
    port.store(1, "B")
    assert [f["symbol"] for _, f in client.heard("SIGNAL")] == ["B"]


def test_a_client_that_unsubscribes_gets_nothing_more(port):
    port = port()
    client = port.dial()
    client.say("SUBSCRIBE|channel=main")
    client.say("UNSUBSCRIBE|channel=main")
    assert verbs(client.heard())[-1] == "UNSUBSCRIBED"
    port.store(1)
    assert client.heard() == []
    assert port.signals.fanout.count() == 0


def test_a_channel_that_is_not_there_is_an_error_and_no_empty_snapshot(port):
    client = port().dial()
    client.say("SUBSCRIBE|channel=gold")
    ((verb, fields),) = client.heard()
    assert (verb, fields["code"], fields["channel"]) == ("ERROR", "channel", "gold")


def test_a_connection_that_is_lost_in_a_replay_leaves_nothing_behind(port, clock):
    port = port()
    port.store(3)
    before = clock.getDelayedCalls()
    client = port.dial()
    port.thread.held = True
    client.say(f"SUBSCRIBE|channel=main|epoch={port.epoch}|after=0")
    client.terminal.hang_up()
    port.thread.work()
    assert port.signals.fanout.count() == 0
    assert not port.signals.channels.sessions
    clock.advance(0)
    assert clock.getDelayedCalls() == before


def test_what_followers_far_behind_read_waits_behind_commits(env_with, clock):
    urgent, later = [], []

    def thread(calls):
        def call(function, *arguments):
            done = Deferred()
            calls.append((done, function, arguments))
            return done

        return call

    def work(calls):
        while calls:
            done, function, arguments = calls.pop(0)
            done.callback(function(*arguments))

    port = Port(env_with(), clock)
    port.store(PAGE)
    port.signals.worker.in_thread = thread(urgent)
    port.signals.worker._later = thread(later)
    client = port.dial()
    client.say(f"SUBSCRIBE|channel=main|epoch={port.epoch}|after=0")
    port.store(1)
    assert (len(urgent), len(later)) == (1, 1)
    work(urgent)
    work(later)
    assert client.seqs() == list(range(1, PAGE + 2))
