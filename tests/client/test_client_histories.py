"""A follower through restarts, restored backups, other filters and breaks, against a model."""

import os
from decimal import Decimal
from typing import ClassVar

from fakes import entries
from fakes.servers import DialectServer, DialectSession
from fakes.transports import MemoryEndpoint
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.task import Clock

from mtnet.client import Follower
from mtnet.services.signals.wire import answers
from mtnet.services.signals.wire.requests import Subscribe
from mtnet.session import messages
from mtnet.session.messages import Hello

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "100"))
FILTERS = (None, ("A",), ("A", "B"), ("B", "C"))


class Link:
    """
    An entry, and all before it.

    Attributes:
        h: names it among all entries of all histories.
        book: what stands behind it, (symbol, ticket) → lots.
    """

    known: ClassVar["dict[str, Link]"] = {}

    def __init__(self, epoch, before, symbol, ticket, volume):
        self.epoch, self.before = epoch, before
        self.seq = 1 if before is None else before.seq + 1
        self.symbol, self.ticket, self.volume = symbol, ticket, volume
        self.h = f"{len(self.known) + 1:08x}"
        self.book = {} if before is None else dict(before.book)
        self.book[symbol, ticket] = volume
        if not volume:
            del self.book[symbol, ticket]
        self.known[self.h] = self

    def since(self, seq):
        """Return this entry and those before it, down to one, oldest first."""
        found, each = [], self
        while each is not None and each.seq > seq:
            found.append(each)
            each = each.before
        return found[::-1]


def wanted(book, symbols):
    return {key: lots for key, lots in book.items() if symbols is None or key[0] in symbols}


class Session(DialectSession):
    """One connection in the eyes of the server."""

    subscribed = False

    def connectionLost(self, reason):
        self.subscribed = False

    def subscribe(self, asked):
        last, self.symbols, self.subscribed = self.server.last, asked.symbols, True
        if self.server.refuses:
            self.subscribed = False
            self.transport.write(messages.error("server", "Not now.", channel="main"))
            return
        known = None
        if asked.epoch == last.epoch and asked.after is not None:
            whole = {0: "00000000"} | {each.seq: each.h for each in last.since(0)}
            known = asked.h in (None, whole.get(asked.after)) and asked.after <= last.seq
        if known and asked.after >= self.server.pruned:
            self.prev = asked.after
            self.tell(*last.since(asked.after))
        else:
            self.snapshot(known is False)
        self.prev = last.seq
        self.transport.write(answers.synced("main", last.epoch, last.seq, last.h))

    def snapshot(self, diverged):
        last = self.server.last
        book = wanted(last.book, self.symbols)
        self.transport.write(answers.snapshot("main", last.epoch, last.seq, len(book), diverged))
        for (symbol, ticket), volume in book.items():
            self.transport.write(entries.position("main", last.seq, symbol, volume, 1, ticket))

    def tell(self, *links):
        for each in links:
            if self.symbols is None or each.symbol in self.symbols:
                prev = None if self.symbols is None else self.prev
                self.prev = each.seq
                self.transport.write(
                    entries.signal(
                        "main", each.seq, each.symbol, each.volume, 1, each.ticket,
                        prev=prev, h=each.h,
                    )
                )  # fmt: skip


class Server(DialectServer):
    """
    Attributes:
        last: entry of the journal that it has now.
        pruned: entries up to this one are kept no more.
        refuses: whether no subscription is granted.
    """

    def __init__(self):
        self.epochs, self.pruned, self.refuses, self.sessions = 0, 0, False, []
        self.begin()

    def buildProtocol(self, addr):
        self.sessions.append(Session(self))
        return self.sessions[-1]

    def takes(self, session, request):
        if isinstance(request, Hello):
            session.say(messages.welcome(5.0, 1, epoch=self.last.epoch))
        elif isinstance(request, Subscribe):
            session.subscribe(request)

    def begin(self):
        """Draw a new epoch."""
        self.epochs += 1
        self.pruned = 0
        self.last = Link(f"{self.epochs:016x}", None, "A", "", Decimal(self.epochs))

    def publish(self, symbol, ticket, volume):
        self.last = Link(self.last.epoch, self.last, symbol, ticket, volume)
        for each in self.sessions:
            if each.subscribed:
                each.tell(self.last)


class Machine(RuleBasedStateMachine):
    """What the program was told stands for what it holds."""

    @initialize(symbols=st.sampled_from(FILTERS))
    def begin(self, symbols):
        Link.known.clear()
        self.clock, self.server = Clock(), Server()
        self.line = MemoryEndpoint(self.server, self.clock)
        self.backups = []
        self.follower, self.accepting = None, False
        self.lots, self.link = {}, None
        self.start(symbols)

    def start(self, symbols, **kept):
        self.symbols = symbols
        self.follower = Follower(
            self.line,
            self.clock,
            symbols=symbols,
            on_snapshot=self.take_snapshot,
            on_signal=self.take_signal,
            on_unfollowed=self.give_back,
            **kept,
        )
        self.follower.startService()

    def take_snapshot(self, entries):
        self.lots = {(each.symbol, each.ticket): each.volume for each in entries}
        self.follow_on()

    def take_signal(self, signal):
        self.lots[signal.symbol, signal.ticket] = signal.volume
        if not signal.volume:
            del self.lots[signal.symbol, signal.ticket]
        self.follow_on()

    def give_back(self, entries):
        for each in entries:
            del self.lots[each.symbol, each.ticket]

    def follow_on(self):
        """What was handed out belongs to the history that is followed, or was accepted."""
        link = Link.known[self.follower.h]
        assert (link.epoch, link.seq) == (self.follower.epoch, self.follower.seq)
        if self.link is not None and not self.accepting:
            assert self.link.h in [each.h for each in link.since(0)], "another history"
        self.link = link

    @rule(
        symbol=st.sampled_from("ABC"),
        ticket=st.sampled_from(["", "1"]),
        volume=st.integers(-1, 2),
        times=st.integers(1, 4),
    )
    def publish(self, symbol, ticket, volume, times):
        for number in range(times):
            standing = (symbol, ticket) in self.server.last.book
            lots = Decimal(volume + number) if standing else Decimal(volume + number or 5)
            self.server.publish(symbol, ticket, lots)

    @rule()
    def back_up(self):
        self.backups.append(self.server.last)

    def come_back(self, noticed):
        """The daemon runs again; the follower connects before anything else happens, or not."""
        if noticed:
            self.clock.advance(30)
            self.line.settle()

    @rule(number=st.integers(0, 3), noticed=st.booleans())
    def restore(self, number, noticed):
        """The machine is stopped, and another copy of the folder is put there."""
        if number < len(self.backups):
            self.cut()
            self.backups.append(self.server.last)
            self.server.last = self.backups[number]
            self.server.pruned = 0
            self.come_back(noticed)

    @rule(noticed=st.booleans())
    def lose_the_folder(self, noticed):
        self.cut()
        self.backups.append(self.server.last)
        self.server.begin()
        self.come_back(noticed)

    @rule()
    def renew(self):
        """Whoever runs the server draws a new epoch while it runs."""
        self.server.begin()
        for each in self.server.sessions:
            if each.subscribed:
                each.subscribe(Subscribe("main", each.symbols))

    @rule()
    def prune(self):
        self.server.pruned = self.server.last.seq

    @rule(refuses=st.booleans())
    def refuse(self, refuses):
        self.server.refuses = refuses

    @rule()
    def accept(self):
        self.accepting = True
        self.follower.accept()
        self.accepting = False

    @rule()
    def accept_before_the_answer(self):
        """What was claimed on this connection is another history than the accepted one."""
        self.cut()
        self.clock.advance(30)
        for end, size in (("client", 300), ("server", 100), ("client", 300)):
            self.carry(*((size, 0) if end == "client" else (0, size)))
        self.accept()

    @rule(there=st.integers(0, 300), back=st.integers(0, 600))
    def carry(self, there, back):
        """Let so many bytes arrive at most."""
        if self.line.connections:
            self.line.connection.carry(there, back)

    @rule()
    def settle(self):
        self.line.settle()

    @rule()
    def cut(self):
        for each in self.line.connections:
            each.cut()

    @rule(seconds=st.sampled_from([0.6, 2.0, 11.0]))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @rule(symbols=st.sampled_from(FILTERS))
    def start_again(self, symbols):
        """The program ends, and is started with what it kept."""
        kept = {
            "epoch": self.follower.epoch,
            "seq": self.follower.seq,
            "h": self.follower.h,
            "kept_for": self.follower.kept_for,
            "positions": list(self.follower.positions.values()),
        }
        self.follower.stopService()
        self.cut()
        self.start(symbols, **kept)

    @invariant()
    def what_was_handed_out_is_what_it_says(self):
        if not hasattr(self, "follower"):
            return
        held = {key: each.volume for key, each in self.follower.positions.items()}
        assert held == self.lots
        if self.follower.kept_for == str(self.follower._core.replica.filter) and self.follower.seq:
            link = Link.known[self.follower.h]
            assert held == wanted(link.book, self.symbols)

    def teardown(self):
        if not hasattr(self, "follower"):
            return
        self.server.refuses = False
        for _ in range(40):
            self.line.settle()
            self.clock.advance(1)
        self.accept()
        for _ in range(40):
            self.line.settle()
            self.clock.advance(1)
            for each in self.line.connections:
                each.server.write(messages.heartbeat(1))
        self.line.settle()
        self.accept()
        assert not self.follower.blind
        assert not self.follower.held
        assert self.follower.seq == self.server.last.seq
        assert self.lots == wanted(self.server.last.book, self.symbols)


def test_whatever_happens_a_follower_ends_with_the_positions_of_its_history():
    case = Machine.TestCase()
    case.settings = settings(max_examples=RUNS, stateful_step_count=40, deadline=None)
    case.runTest()
