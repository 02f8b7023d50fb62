"""A signals port in memory, and the clients of dialect 2 that are connected to it."""

import time
from functools import cache

from fakes.transports import MemoryEndpoint
from tls_samples import Authority, Files
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mtnet import client
from mtnet.client import Follower, Publisher
from mtnet.client.core.address import read_address
from mtnet.client.core.events import State
from mtnet.client.core.handover import Handover, Kept, decode, encode
from mtnet.client.core.replica import ChannelCopy
from mtnet.client.endpoints import WebSocketEndpoint
from mtnet.client.http.endpoint import HttpEndpoint
from mtnet.client.tls import SecureEndpoint
from mtnet.errors import JournalError, WireError
from mtnet.interfaces import ISignals
from mtnet.net.endpoints import Listener
from mtnet.net.pipeline import Pipeline
from mtnet.net.tls.store import CertificateStore
from mtnet.services.signals.commands import SignalCommands
from mtnet.services.signals.wire.answers import Signal
from mtnet.testing import make_environment

ADDRESS = read_address("ws://127.0.0.1:8083/ws")
HTTP = read_address("http://127.0.0.1:8083", http=True)
HOST = "localhost"
"""The host that the certificate is for."""
authority = cache(Authority)


class Harness:
    """
    The ports of signals and web, and those who are connected to them.

    Attributes:
        factories: what listens, by road: `tcp`, `tls`, `websocket`, `http`.
    """

    def __init__(self, folder, *sets):
        self.folder, self.clock, self.lines = folder, Clock(), []
        files = Files(folder.parent / "certificates", authority())
        files.issue(HOST)
        self.sets = (*files.settings, *sets)
        self.env = None
        self.open()

    def open(self):
        env = self.env = make_environment(self.folder, self.clock, *self.sets)
        secure = Listener("signals", "secure:8443")
        certificates = CertificateStore(
            env.config.tls, self.folder, lambda: time.time_ns() // 1_000_000
        )
        self.factories = {
            "tcp": env.factory("signals", Listener("signals", "tcp:8081")),
            "tls": Pipeline(env, certificates).wrap(secure, env.factory("signals", secure)),
            "websocket": env.factory("web", Listener("web", "tcp:8083")),
            "http": env.factory("web", Listener("web", "tcp:8083")),
        }
        for line in self.lines:
            line.factory = self.factories[line.road]

    def restart(self, folder=None):
        """Kill the daemon, and start one, perhaps on another folder."""
        self._kill()
        self.cut()
        self.folder = folder or self.folder
        self.open()

    def _kill(self):
        """The clock is the clients' too: let what the daemon would do later reach no disk."""

        def dead(*_):
            raise JournalError("This daemon was killed.")

        signals = self.env.find(ISignals)
        for owner, name in (
            *(
                (signals.worker.journal, name)
                for name in ("commit", "recover", "expire", "begin_epoch")
            ),
            (signals.rules.store, "save"),
        ):
            setattr(owner, name, dead)

    def line(self, road="tcp"):
        """Return a way to a port."""
        self.lines.append(MemoryEndpoint(self.factories[road], self.clock))
        self.lines[-1].road = road
        return self.lines[-1]

    def endpoint(self, line):
        """Return the endpoint of a client's library at the end of a way."""
        if line.road == "tls":
            return SecureEndpoint(line, HOST, self.clock, [authority().certificate])
        if line.road == "http":
            return HttpEndpoint(self.clock, HTTP, lambda host: line)
        return WebSocketEndpoint(line, ADDRESS) if line.road == "websocket" else line

    def cut(self):
        for line in self.lines:
            for connection in line.connections:
                connection.cut()

    def settle(self):
        for _ in range(5):
            for line in self.lines:
                line.settle()

    def pass_time(self, seconds=client.LONGEST_DELAY):
        for _ in range(int(seconds)):
            self.settle()
            self.clock.advance(1.0)
        self.settle()

    def operate(self, command, channel="main", **asked):
        """Do what the owner can do to a channel: `pause`, `freeze`, `flatten`, `accept` …"""
        command = SignalCommands(self.env.find(ISignals)).commands()[f"signals {command}"]
        done = command({"channel": channel, **asked})
        if isinstance(done, Deferred):
            done.addErrback(lambda failure: failure.trap(JournalError, WireError))
        self.settle()

    def held(self, channel="main"):
        return {
            (e.symbol, e.ticket): e.volume for e in self.env.find(ISignals).channel(channel).held()
        }

    def publisher(self, **options):
        return PublisherClient(self, **options)

    def follower(self, **options):
        return FollowerClient(self, **options)

    def keeper(self, **options):
        return KeepingClient(self, **options)


class PublisherClient:
    """A publisher, and what became of what it published."""

    def __init__(self, harness, road="tcp", **options):
        self.events, self.stored, self.failed, self.answers = [], [], [], {}
        self.harness, self.line = harness, harness.line(road)
        self.publisher = Publisher(
            harness.endpoint(self.line),
            harness.clock,
            on_lost=lambda why: self.events.append("lost"),
            on_fenced=lambda channel: self.events.append(f"fenced {channel}"),
            **options,
        )
        self.publisher.startService()

    def publish(self, symbol, volume, **more):
        done = self.publisher.publish(symbol, volume, **more)
        done.addCallback(lambda seq: self.answers.update({more.get("id"): seq}) or seq)
        done.addCallbacks(self.stored.append, lambda f: self.failed.append(f.getErrorMessage()))


class FollowerClient:
    """
    A follower, and what it was told.

    Attributes:
        unknown: what it held when it accepted a journal in which nothing was stored.
        waiting: what was handed out before its journal was found to be another one.
        last: epoch and seq of what was handed out last.
        went_back: what was handed out of another history, though nobody accepted it.
    """

    def __init__(self, harness, road="tcp", **options):
        self.harness, self.line = harness, harness.line(road)
        self.symbols, self.road = options.get("symbols"), road
        self.seqs, self.snapshots, self.blind, self.events = [], [], [], []
        self.given_back, self.waiting, self.unknown = [], None, set()
        self.last = options.get("epoch"), options.get("seq", 0)
        self.went_back = []
        self.follower = Follower(
            harness.endpoint(self.line),
            harness.clock,
            on_snapshot=self.take_snapshot,
            on_signal=self.take_signal,
            on_synced=lambda: self.events.append("synced"),
            on_blind=self.blind.append,
            on_provider=lambda up, since: self.events.append("up" if up else "down"),
            on_epoch=self.hold,
            on_error=lambda code, text: self.events.append(code),
            on_unfollowed=lambda entries: self.given_back.extend(each.symbol for each in entries),
            on_paused=lambda mode: self.events.append(mode or "resumed"),
            on_flattened=lambda: self.events.append("flattened"),
            on_notice=self.events.append,
            **options,
        )
        self.follower.startService()

    def hold(self, old, new):
        self.events.append("new epoch")
        self.waiting = self.handed_out

    def take_signal(self, signal):
        self.seqs.append(signal.seq)
        self.last = self.follower.epoch, self.follower.seq

    def take_snapshot(self, positions):
        self.snapshots.append(positions)
        self.unknown = set()
        (epoch, seq), self.last = self.last, (self.follower.epoch, self.follower.seq)
        if epoch is not None and (self.last[0] != epoch or self.last[1] < seq):
            self.went_back.append(self.last)

    def accept(self):
        """A person takes the server's history for the right one."""
        if self.follower.held:
            self.seqs.clear()
            self.unknown, self.last = set(self.held), (None, 0)
            self.follower.accept()

    def shows(self, positions):
        """Whether it holds these, and nothing that anybody knows to be closed."""
        unknown = {key: volume for key, volume in self.held.items() if key in self.unknown}
        return self.held == {**unknown, **positions}

    @property
    def handed_out(self):
        """Return all that a program acts on."""
        return self.held, list(self.seqs), len(self.snapshots)

    @property
    def held(self):
        return {key: entry.volume for key, entry in self.follower.positions.items()}

    @property
    def kept(self):
        """Return what a program keeps over a restart."""
        return {
            "epoch": self.follower.epoch,
            "seq": self.follower.seq,
            "h": self.follower.h,
            "kept_for": self.follower.kept_for,
            "positions": list(self.follower.positions.values()),
        }


class KeepingClient:
    """
    A program as of asyncio or of a script: it takes entries one by one, dies, and goes on by the
    state that it kept.

    Attributes:
        held: what the program acted on, (symbol, ticket) → volume.
        unknown: keys that it held when it accepted a journal in which nothing was stored.
        taken: seq of each news that it was handed, oldest first.
        began: how many of these came before its last start, or before it accepted a history.
    """

    def __init__(self, harness, road="tcp"):
        self.harness, self.road = harness, road
        self.kept, self.held, self.taken = Kept("", None, 0, "", ()), {}, []
        self.began, self.unknown = 0, set()
        self.start()

    def start(self):
        kept, self.line = self.kept, self.harness.line(self.road)
        copy = ChannelCopy(kept.epoch, kept.seq, kept.h, kept.positions)
        self.handover = Handover(copy, kept.begun)
        self.began = len(self.taken)
        self.follower = Follower(
            self.harness.endpoint(self.line),
            self.harness.clock,
            on_signal=lambda signal: self.handover.add(signal, self.follower.epoch),
            on_snapshot=self.take_state,
            epoch=kept.epoch,
            seq=kept.seq,
            h=kept.h,
            kept_for=kept.kept_for,
            positions=kept.positions,
        )
        self.follower.startService()

    def accept(self):
        """A person takes the server's history for the right one."""
        if self.follower.held:
            self.work()
            self.began = len(self.taken)
            self.unknown = set(self.held)
            self.follower.accept()

    def take_state(self, positions):
        known = self.follower
        self.unknown = set()
        self.handover.add(State(positions, known.epoch, known.seq, known.h), known.epoch)

    def work(self, most=1_000_000):
        """Handle so many entries at most."""
        while most and (entry := self.handover.next()) is not None:
            self.keep()
            self.act(entry)
            self.handover.handled()
            self.keep()
            most -= 1

    def act(self, entry):
        self.set(entry)
        if isinstance(entry, Signal):
            self.taken.append(entry.seq)

    def shows(self, positions):
        """Return whether it acted on these, and on nothing that anybody knows to be closed."""
        unknown = {key: volume for key, volume in self.held.items() if key in self.unknown}
        return self.held == {**unknown, **positions}

    def set(self, entry):
        self.held[entry.symbol, entry.ticket] = entry.volume
        if not entry.volume:
            del self.held[entry.symbol, entry.ticket]

    def keep(self):
        copy, kept_for = self.handover.copy, self.follower.kept_for
        positions = tuple(copy.positions.values())
        begun = self.handover.begun
        kept = Kept(kept_for, copy.epoch, copy.seq, copy.h, positions, begun)
        self.kept = decode(encode(kept), "")

    def die(self, acted):
        """End without a word, perhaps behind an entry that it acted on and did not finish."""
        entry = self.handover.next()
        self.keep()
        if acted and entry is not None:
            self.set(entry)
        self.follower.stopService()
        self.start()
