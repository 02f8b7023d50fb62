"""A signals port on a disk that the test holds in its hand, and those who talk to it."""

import re

from fakes.threads import ManualThread

from mtnet.errors import JournalError
from mtnet.net.endpoints import Listener
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.upkeep import Upkeep
from mtnet.services.signals.protocol import SignalsFactory
from mtnet.services.signals.reports.store import ReportStore
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.verbs import SignalVerbs, open_sessions
from mtnet.services.signals.wire import requests
from mtnet.session import messages
from mtnet.testing import connect, make_environment

LISTENER = Listener("signals", "tcp:8081")
HELLO = messages.hello()


class BadJournal(Journal):
    """
    A journal whose disk fails as the test says.

    Attributes:
        fault: None; `lost`, a commit fails and stores nothing; `landed`, it fails and is stored
            nevertheless; `dead`, and nothing can be found out either; `unreadable`, nothing can
            be read.
    """

    fault = None
    landed = False

    def commit(self, drafts, judge=None):
        if self.fault in (None, "unreadable"):
            return super().commit(drafts, judge)
        if self.fault == "landed" or self.landed:
            super().commit(drafts, judge)
        raise JournalError("The disk is full.")

    def recover(self, known):
        if self.fault == "dead":
            raise JournalError("The disk is dead.")
        return super().recover(known)

    def read(self, channel, after, limit):
        self._look_in_vain()
        return super().read(channel, after, limit)

    def hash_at(self, channel, seq):
        self._look_in_vain()
        return super().hash_at(channel, seq)

    def _look_in_vain(self):
        if self.fault == "unreadable":
            raise JournalError("The disk cannot be read.")


class Server:
    """A signals port; what it stores survives into the next one in the same folder."""

    def __init__(self, folder, clock, *sets, listener=LISTENER, now=None):
        self.clock, self.disk = clock, ManualThread(held=False)
        self.root = env = make_environment(folder, clock, *sets, now=now)
        settings = env.of("signals").section
        self.journal = BadJournal(folder / "signals.sqlite", settings.retain, slice=1)
        self.signals = SignalService(settings, self.journal, clock, env.now, self.disk)
        self.upkeep = Upkeep(self.signals, clock)
        self.signals.open()
        self.reports = ReportStore(folder / "signals.reports", clock, self.disk)
        verbs = SignalVerbs(self.signals, self.reports)
        sessions = open_sessions(env.of("signals"))
        sessions.add([verbs])
        self.env = env.of("signals")
        self.factory = SignalsFactory(self.env, listener, self.signals, sessions)

    def start(self):
        self.upkeep.start()
        self.signals.start()

    def dial(self, **addresses):
        return connect(self.factory, self.clock, **addresses)

    def greet(self, **addresses):
        """Dial and say HELLO; what was answered is forgotten."""
        terminal = self.dial(**addresses)
        terminal.send(HELLO)
        terminal.received()
        return terminal

    def subscribe(self, channel="main", **asked):
        """Dial, say HELLO and subscribe; what was answered is kept."""
        terminal = self.greet()
        terminal.send(requests.subscribe(channel, **asked))
        return terminal

    def follow(self, **addresses):
        """Dial as a classic follower."""
        terminal = self.dial(**addresses)
        self.clock.advance(self.env.section.grace)
        return terminal

    def publish(self, terminal, identity, volume="1", symbol="GBPUSD", **fields):
        """Let a terminal say PUBLISH."""
        terminal.send(frame("PUBLISH", id=identity, symbol=symbol, volume=volume, **fields))

    def store(self, count, symbol="GBPUSD", first=1):
        """Have entries stored by one who leaves again, with volumes from `first` on."""
        publisher, self.disk.held = self.greet(), True
        for number in range(first, first + count):
            self.publish(publisher, f"s{number}", number, symbol)
        self.disk.work()
        self.disk.held = False
        publisher.send(messages.bye())
        publisher.hang_up()

    def waits(self):
        """Return the timer that lets go of what is held for those who have not come back."""
        return [self.signals.retries.expiry] if self.signals.retries.expiry else []

    def epoch(self, channel="main"):
        return self.signals.channel(channel).epoch

    def entries(self, channel="main"):
        return self.journal.read(channel, 0, 1_000_000)


def frame(verb, **fields):
    return "".join([f"<<{verb}", *(f"|{k}={v}" for k, v in fields.items()), ">>"]).encode()


def told(terminal):
    """Return what was written since the last call, without what differs from run to run."""
    data = terminal.received()
    assert b"\0" not in data
    *frames, rest = data.split(b"\r\n")
    assert rest == b"", "a frame was cut"
    assert all(each.startswith(b"<<") and each.endswith(b">>") for each in frames)
    return [short(each[2:-2].decode()) for each in frames]


def short(payload):
    return re.sub(r"\|(time|since|text|services|epoch|t|h|opened|popened)=[^|]*", "", payload)


def gone(terminal):
    """Whether the server has closed, or said all."""
    return terminal.closed or terminal.transport.ended
