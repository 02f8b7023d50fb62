"""Feed of status: reads each part once for all who watch it, and never for nobody."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from twisted.internet.interfaces import IReactorTime

from mtnet.net.output.queue import Encoder
from mtnet.services.status.rows import Change, joined
from mtnet.services.status.sections import Section
from mtnet.services.status.wire import pieces, whole

SHARE = 2_000.0
"""After a change those who watch are sent none for so many times what it took: 0.05 % of a
processor, so that with a thousand followers it comes at every second look."""
LONGEST = 1.5
"""Seconds for which that is at most: no more than one look is left out."""

Open = Callable[[str, bool], Sequence[Section]]
"""Returns the sections of a part, with what is for admins alone, or without."""


class Edition:
    """
    The state of a part for all who may see the same, encoded once for each kind of road.

    Attributes:
        watchers: those who see it.
    """

    def __init__(self, what: str, sections: Sequence[Section]) -> None:
        self.what, self._sections = what, sections
        self.watchers: dict[Watcher, None] = {}
        self._encoded: dict[Encoder | None, bytes] = {}
        self._read()

    def state(self, encoder: Encoder | None) -> bytes:
        """Return the whole state, as it is sent."""
        if encoder not in self._encoded:
            rows = {key: row for each in self._sections for key, row in each.rows.items()}
            self._encoded[encoder] = encode("STATE", self.what, {"set": rows}, encoder)
        return self._encoded[encoder]

    def refresh(self) -> None:
        """Read the state anew, and send what has changed of it."""
        change = self._read()
        if not change:
            return
        self._encoded, encoded = {}, {}
        for watcher in list(self.watchers):
            if watcher.encoder not in encoded:
                encoded[watcher.encoder] = encode("CHANGED", self.what, change, watcher.encoder)
            watcher.changed(self, encoded[watcher.encoder])

    def _read(self) -> Change:
        return joined([each.refresh() for each in self._sections])


class Watcher(Protocol):
    """One who watches; `encoder` = that of its road."""

    @property
    def encoder(self) -> Encoder | None: ...

    def changed(self, edition: Edition, encoded: bytes) -> None:
        """Send a change, or later the state."""


class StatusFeed:
    """
    Publisher of parts to watchers.

    Args:
        open: opens a part.
    """

    def __init__(self, open: Open, clock: IReactorTime) -> None:
        self._open, self._clock, self._due = open, clock, 0.0
        self._editions: dict[tuple[str, bool], Edition] = {}

    @property
    def watched(self) -> bool:
        """Whether somebody watches a part."""
        return bool(self._editions)

    def join(self, watcher: Watcher, what: str, admin: bool) -> Edition:
        """Let somebody watch a part; return its state of now, or of the last `refresh`."""
        key = what, admin
        if key not in self._editions:
            self._editions[key] = Edition(what, self._open(what, admin))
        edition = self._editions[key]
        edition.watchers[watcher] = None
        return edition

    def leave(self, watcher: Watcher) -> None:
        """Send somebody nothing more."""
        for key, edition in list(self._editions.items()):
            edition.watchers.pop(watcher, None)
            if not edition.watchers:
                del self._editions[key]

    def close(self) -> None:
        """Send nobody anything more."""
        self._editions.clear()

    def refresh_at_leisure(self) -> None:
        """Refresh, unless the last time took long."""
        begin = self._clock.seconds()
        if begin >= self._due:
            self.refresh()
            self._due = begin + min(LONGEST, SHARE * (self._clock.seconds() - begin))

    def refresh(self) -> None:
        """Read each part that somebody watches anew, and send what has changed."""
        for edition in list(self._editions.values()):
            edition.refresh()


def encode(verb: str, what: str, data: Mapping[str, Any], encoder: Encoder | None) -> bytes:
    """Return STATE or CHANGED as it is sent on a road with this encoder; None = frames."""
    text = msgspec.json.encode(data).decode()
    return pieces(verb, what, text) if encoder is None else encoder(whole(verb, what, text))
