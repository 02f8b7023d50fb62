"""Followers of either dialect that believe nothing unchecked; those of `kill9.py`."""

import time
from decimal import Decimal

from bench.expected_state import FLAT, ExpectedState, State, apply, chosen
from bench.peers import Peer, Speaker
from mtnet.services.signals.wire import requests
from mtnet.services.signals.wire.answers import (
    Answer,
    Signal,
    Snapshot,
    SnapshotPosition,
    Synced,
    Welcome,
)
from mtnet.session.classic import parse_position
from mtnet.session.messages import Error


class Follower(Speaker):
    """
    Follows in dialect 2, and checks everything that it is told.

    Args:
        fresh: it forgets all whenever it is cut off.
        symbols: None = all.

    Attributes:
        seq, state: what it knows.
        met, since: when this connection was made, and when it was in sync; 0 = not yet.
    """

    def __init__(
        self, port: int, expected: ExpectedState, name: str, fresh: bool, symbols: list[str] | None
    ) -> None:
        super().__init__(port)
        self.expected, self.name, self.fresh, self.symbols = expected, name, fresh, symbols
        self.epoch: str | None = None
        self.seq = 0
        self.state: State = {}
        self.met = self.since = 0.0
        self._prev = self._left = 0

    def began(self) -> None:
        """Go on from where it was."""
        self.met, self.since = time.monotonic(), 0.0
        self._left = 0
        if self.fresh:
            self.seq, self.state = 0, {}

    def welcomed(self, said: Welcome) -> None:
        """Ask for what was missed."""
        known = self.epoch is not None and not self.fresh
        if self.epoch not in (None, said.epoch):
            self.expected.broken("wrong", f"{self.name} is told of another epoch")
        self._prev = self.seq
        epoch, after = (self.epoch, self.seq) if known else (None, None)
        self.epoch = said.epoch
        self.say(requests.subscribe("main", self.symbols, epoch, after))

    def heard(self, said: Answer) -> None:
        """Check it, then believe it."""
        if isinstance(said, Signal):
            self._signal(said)
        elif isinstance(said, Snapshot):
            self._snapshot(said)
        elif isinstance(said, SnapshotPosition):
            self._position(said)
        elif isinstance(said, Synced):
            self._synced(said)
        elif isinstance(said, Error):
            self.expected.broken("errors", f"{self.name} was told {said}")

    def _signal(self, said: Signal) -> None:
        if said.seq <= self.seq:
            self.expected.broken("twice", f"{self.name} was sent {said.seq} behind {self.seq}")
            return
        before = said.seq - 1 if self.symbols is None else said.prev
        expected = self.seq if self.symbols is None else self._prev
        if before != expected:
            self.expected.broken("holes", f"{self.name} was sent {said.seq} behind {expected}")
        self.expected.check(self.name, said.seq, said)
        self.seq = self._prev = said.seq
        apply(self.state, said.seq, self.expected.said[said.seq - 1])

    def _snapshot(self, said: Snapshot) -> None:
        if said.seq < self.seq or not (self.fresh or self.seq == 0):
            kind = "regressions" if said.seq < self.seq else "holes"
            self.expected.broken(
                kind, f"{self.name} at {self.seq} was sent the state at {said.seq}"
            )
        self.state, self._left, self.seq = {}, said.count, said.seq

    def _position(self, said: SnapshotPosition) -> None:
        self._left -= 1
        self.expected.check(self.name, said.seq, said)
        apply(self.state, said.seq, self.expected.said[said.seq - 1])

    def _synced(self, said: Synced) -> None:
        if self._left:
            self.expected.broken("wrong", f"{self.name} misses {self._left} of a snapshot")
        if said.seq < self.seq:
            self.expected.broken(
                "regressions", f"{self.name} at {self.seq} is synced to {said.seq}"
            )
        if self.symbols is None and said.seq > self.seq:
            self.expected.broken("holes", f"{self.name} at {self.seq} is synced to {said.seq}")
        self.seq = self._prev = said.seq
        self.since = self.since or time.monotonic()
        right = self.expected.at(said.seq)
        if right is not None and self.state != chosen(right, self.symbols):
            self.expected.broken("wrong", f"{self.name} is synced to a wrong state at {said.seq}")

    def finished(self) -> bool:
        """Say whether it has come to the truth."""
        return bool(self.since) and self.state == chosen(self.expected.state, self.symbols)


class ClassicFollower(Peer):
    """Follows in the classic dialect; what it is told of a symbol may never go back in time."""

    def __init__(self, port: int, expected: ExpectedState, name: str) -> None:
        super().__init__(port)
        self.expected, self.name = expected, name
        self.nets: dict[str, Decimal] = {}
        self._at: dict[str, int] = {}

    def frame(self, payload: bytes) -> None:
        """Find the value in the history of its symbol."""
        symbol, volume = parse_position(payload)
        history, at = self.expected.nets.get(symbol, []), self._at.get(symbol, 0)
        try:
            self._at[symbol] = history.index(volume, at)
        except ValueError:
            kind = "regressions" if volume in history else "wrong"
            self.expected.broken(
                kind, f"{self.name} was sent {payload!r} behind {history[at:][:1]}"
            )
        self.nets[symbol] = volume

    def finished(self) -> bool:
        """Say whether it has come to the truth."""
        known = self.expected.nets.items()
        return all(self.nets.get(symbol, FLAT) == history[-1] for symbol, history in known)
