"""
File with the pauses, holders, fences and refused reductions, kept across restarts.

One small file beside the journal, replaced as a whole and synced, with its folder, at each
change. Blocking; for the thread of the journal, but for `pause` and the views.
"""

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from mtnet.errors import JournalError
from mtnet.services.signals.model import Counted, Entry
from mtnet.services.signals.ownership.publishers import PublisherId
from mtnet.services.signals.values import Kind, PauseMode
from mtnet.storage.files import replace_file

FENCED = 100
"""Fenced publishers that are remembered of each channel; the ones before are free again."""


class Position(NamedTuple):
    """The key of a position."""

    channel: str
    symbol: str
    ticket: str


class _Owed(Struct, frozen=True):
    channel: str
    symbol: str
    ticket: str
    volume: Decimal
    when: int
    type: Kind
    fields: tuple[tuple[str, str], ...] = ()


class _File(Struct, frozen=True):
    paused: dict[str, PauseMode] = {}
    fenced: dict[str, list[PublisherId]] = {}
    owed: list[_Owed] = []
    held: dict[str, PublisherId] = {}


class PolicyStore:
    """
    Args:
        path: the file.
        old: the file of an older mtnet, with one paused channel a line.

    Attributes:
        paused: the mode of each channel that is paused.
        fenced: by channel, who may not take it by itself, the latest last.
        refused_reductions: the last reduction of each position that a frozen channel refused.
        held: by channel, the publisher that holds it, of dialect 2 or by HTTP.
        counted: by channel, the last whole state that it was sent by HTTP.
        trouble: why the file is not what it should be; empty = it is.
    """

    def __init__(self, path: Path, old: Path | None = None) -> None:
        self._path, self._old = path, old
        self.paused: Mapping[str, PauseMode] = {}
        self.fenced: Mapping[str, tuple[PublisherId, ...]] = {}
        self.refused_reductions: Mapping[Position, Entry] = {}
        self.held: Mapping[str, PublisherId] = {}
        self.counted: Mapping[str, Counted] = {}
        self._retried: Mapping[Position, Entry] = {}
        self._seen: tuple[Mapping[Position, Entry], Mapping[str, PauseMode]] = {}, {}
        self._written = b""
        self.trouble = ""

    def open(self) -> None:
        """
        Read the file.

        Raises:
            JournalError: it cannot be read.
        """
        try:
            if self._path.exists():
                self._written = self._path.read_bytes()
                self._read(msgspec.json.decode(self._written, type=_File))
            elif self._old is not None and self._old.exists():
                names = self._old.read_text("ascii").split()
                self.paused = dict.fromkeys(names, "close_only")
        except (OSError, UnicodeError, msgspec.MsgspecError) as error:
            raise JournalError(
                f"{self._path} does not name the paused channels: {error}. Mend it, or "
                "remove it to have no channel paused and no publisher fenced."
            ) from error

    def _read(self, found: _File) -> None:
        self.paused = found.paused
        self.fenced = {name: tuple(who) for name, who in found.fenced.items()}
        drafts = [
            Entry(e.channel, e.symbol, e.volume, e.when, e.ticket, "", e.type, e.fields)
            for e in found.owed
        ]
        self.refused_reductions = {position_of(draft): draft for draft in drafts}
        self.held = found.held

    def pause(self, channel: str, mode: PauseMode | None) -> None:
        """Pause a channel, or let it go on with None; `save` keeps it."""
        paused = {name: each for name, each in self.paused.items() if name != channel}
        self.paused = paused if mode is None else {**paused, channel: mode}

    def fence(self, channel: str, who: PublisherId) -> None:
        """Remember that a publisher may not take a channel without take=1."""
        known = [each for each in self.fenced.get(channel, ()) if each != who]
        self.fenced = {**self.fenced, channel: (*known, who)[-FENCED:]}

    def unfence(self, channel: str, who: PublisherId) -> None:
        """Let a publisher take a channel again."""
        if who in self.fenced.get(channel, ()):
            left = tuple(each for each in self.fenced[channel] if each != who)
            self.fenced = {**self.fenced, channel: left}

    def count(self, counted: Mapping[str, Counted]) -> None:
        """Remember the last whole states; those that led to an entry are in the journal."""
        self.counted = {**self.counted, **counted}

    def keep_refused(self, changes: Mapping[Position, Entry | None]) -> None:
        """Remember reductions that were refused; None = a later signal has come."""
        reductions = {**self.refused_reductions, **changes}
        self.refused_reductions = {
            key: draft for key, draft in reductions.items() if draft is not None
        }

    def pop_retryable(self) -> list[Entry]:
        """
        Return, each once, the reductions whose channels are not frozen, to be judged; they are
        kept until that is stored.
        """
        reductions, paused = self.refused_reductions, self.paused
        if reductions is self._seen[0] and paused is self._seen[1]:
            return []
        self._seen, before = (reductions, paused), self._retried
        self._retried = {k: d for k, d in reductions.items() if paused.get(k.channel) != "frozen"}
        return [draft for key, draft in self._retried.items() if before.get(key) is not draft]

    def retry_channel(self, channel: str) -> None:
        """Let `pop_retryable` return those of a channel again: it was damaged, and judged none."""
        self._retried = {
            key: draft for key, draft in self._retried.items() if key.channel != channel
        }
        self._seen = {}, {}

    def save(self) -> None:
        """
        Write what has changed.

        Raises:
            JournalError: the disk does not keep it; what is in memory counts until the daemon
                stops.
        """
        data = self._encoded()
        if data == self._written:
            return
        try:
            replace_file(self._path, data)
        except JournalError as error:
            self.trouble = str(error)
            raise
        if self._old is not None:
            with suppress(OSError):
                self._old.unlink()
        self._written, self.trouble = data, ""

    def keep(self) -> None:
        """Write what has changed; what the disk does not keep is `trouble`, and tried again."""
        with suppress(JournalError):
            self.save()

    def _encoded(self) -> bytes:
        owed = [
            _Owed(d.channel, d.symbol, d.ticket, d.volume, d.when, d.type, d.fields)
            for d in self.refused_reductions.values()
        ]
        fenced = {name: list(who) for name, who in self.fenced.items() if who}
        return msgspec.json.encode(_File(dict(self.paused), fenced, owed, dict(self.held)))


def position_of(draft: Entry) -> Position:
    """Return the key of what a draft sets."""
    return Position(draft.channel, draft.symbol, draft.ticket)
