"""Feed of status: computes each part once a second for all who watch it, and never for nobody."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from mtnet.net.output.queue import Encoder
from mtnet.recurring import Recurring
from mtnet.services.status.rows import Rows, changes
from mtnet.services.status.wire import pieces, whole

INTERVAL = 1.0
"""Seconds between two changes that are sent."""

Read = Callable[[bool], Rows]
"""Returns the rows of a part; with those for admins alone, or without."""


class Edition:
    """
    The state of a part for all who may see the same, encoded once for each kind of road.

    Attributes:
        rows: the state.
        watchers: those who see it.
    """

    def __init__(self, what: str, read: Callable[[], Rows]) -> None:
        self.what, self._read = what, read
        self.rows = read()
        self.watchers: dict[Watcher, None] = {}
        self._encoded: dict[Encoder | None, bytes] = {}

    def state(self, encoder: Encoder | None) -> bytes:
        """Return the whole state, as it is sent."""
        if encoder not in self._encoded:
            self._encoded[encoder] = encode("STATE", self.what, {"set": self.rows}, encoder)
        return self._encoded[encoder]

    def refresh(self) -> None:
        """Compute the state anew, and send what has changed of it."""
        before, self.rows = self.rows, self._read()
        change = changes(before, self.rows)
        if not change:
            return
        self._encoded, encoded = {}, {}
        for watcher in list(self.watchers):
            if watcher.encoder not in encoded:
                encoded[watcher.encoder] = encode("CHANGED", self.what, change, watcher.encoder)
            watcher.changed(self, encoded[watcher.encoder])


class Watcher(Protocol):
    """One who watches; `encoder` = that of its road."""

    @property
    def encoder(self) -> Encoder | None: ...

    def changed(self, edition: Edition, encoded: bytes) -> None:
        """Send a change, or later the state."""


class StatusFeed:
    """
    Publisher of parts to watchers, with one timer that runs while anybody watches.

    Args:
        parts: the readers of the parts, by name.
    """

    def __init__(self, parts: Mapping[str, Read], clock: IReactorTime) -> None:
        self._parts = parts
        self._editions: dict[tuple[str, bool], Edition] = {}
        self._loop = LoopingCall(Recurring("The status for those who watch", self._refresh))
        self._loop.clock = clock

    def join(self, watcher: Watcher, what: str, admin: bool) -> Edition:
        """Let somebody watch a part; return its state of now, or of the last second."""
        key = what, admin
        if key not in self._editions:
            self._editions[key] = Edition(what, lambda: self._parts[what](admin))
        edition = self._editions[key]
        edition.watchers[watcher] = None
        if not self._loop.running:
            self._loop.start(INTERVAL, now=False)
        return edition

    def leave(self, watcher: Watcher) -> None:
        """Send somebody nothing more."""
        for key, edition in list(self._editions.items()):
            edition.watchers.pop(watcher, None)
            if not edition.watchers:
                del self._editions[key]
        self._stop_if_idle()

    def close(self) -> None:
        """Send nobody anything more."""
        self._editions.clear()
        self._stop_if_idle()

    def _stop_if_idle(self) -> None:
        if not self._editions and self._loop.running:
            self._loop.stop()

    def _refresh(self) -> None:
        for edition in list(self._editions.values()):
            edition.refresh()


def encode(verb: str, what: str, data: Mapping[str, Any], encoder: Encoder | None) -> bytes:
    """Return STATE or CHANGED as it is sent on a road with this encoder; None = frames."""
    text = msgspec.json.encode(data).decode()
    return pieces(verb, what, text) if encoder is None else encoder(whole(verb, what, text))
