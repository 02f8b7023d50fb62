"""
The positions of every channel.

No Twisted, no clock: times are handed in. Those of entries are milliseconds since the Unix epoch,
UTC; the age of a position is measured in seconds of a clock that is never set
(`WallClock.seconds`). Volumes are lots, signed; 0 = flat.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from mtnet.services.signals.model import FLAT, ZEROS, Entry, State
from mtnet.services.signals.ownership.transitions import POSITION

RECENT = 10_000
"""Entries that are remembered, for acknowledgements that come late."""


class Position(Struct, frozen=True):
    """
    Net position of one symbol of a channel, over all its tickets.

    Attributes:
        when: the moment since which it does.
        number: counts the changes of the channel; the later one is higher.
    """

    symbol: str
    volume: Decimal
    when: float
    number: int


class Change(Struct, frozen=True):
    """
    A net position that is another one now.

    Attributes:
        previous: the volume before it; None = nothing was known of the symbol.
        when: when it was taken.
    """

    channel: str
    symbol: str
    volume: Decimal
    when: int
    previous: Decimal | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Key under which a newer change replaces this one."""
        return self.channel, self.symbol


def is_reduction(before: Decimal | None, after: Decimal) -> bool:
    """Say whether going from `before` to `after` closes lots; such news must travel first."""
    if before is None:
        return after == FLAT
    return abs(after) < abs(before) or before * after < 0


def latest(changes: list[Change]) -> list[Change]:
    """Return one change of each symbol, from its first volume to its last, in their order."""
    if len(changes) < 2:
        return changes
    newest: dict[tuple[str, str], Change] = {}
    for change in changes:
        before = newest.pop(change.key, change).previous
        newest[change.key] = Change(*change.key, change.volume, change.when, before)
    return list(newest.values())


class Channel:
    """
    The positions of one channel, at its entry `seq`.

    A symbol that went flat stays, with volume 0, until it expires: what is not named is
    unknown, and a classic follower must be able to learn of a close that it missed.

    Attributes:
        epoch: names its journal.
        seq: of the last entry that was applied; 0 = nothing is known.
        h: of that entry, see `Entry`.
        keys: how many positions and orders it holds.
        net: a live view of the net positions, flat ones included.
    """

    def __init__(self, name: str) -> None:
        self.name, self.epoch, self.seq, self.h = name, "", 0, ZEROS
        self._entries: dict[str, dict[str, Entry]] = {}
        self._recent: dict[int, Entry] = {}
        self._net: dict[str, Position] = {}
        self._changes = self.keys = 0
        self.net: Mapping[str, Position] = MappingProxyType(self._net)

    def volume(self, symbol: str) -> Decimal | None:
        """Return the net position of a symbol, or None when nothing is known of it."""
        position = self._net.get(symbol)
        return None if position is None else position.volume

    def entry(self, seq: int) -> Entry | None:
        """Return one of the last `RECENT` entries."""
        return self._recent.get(seq)

    def hash(self, seq: int) -> str | None:
        """Return the `h` of an entry, or None when it is not remembered."""
        if seq == self.seq:
            return self.h
        entry = self._recent.get(seq)
        return ZEROS if not seq else None if entry is None else entry.h

    def load(self, state: State, moment: float, now: int) -> None:
        """
        Begin with what is stored; who looks at `net` sees it too.

        Of what was known already the age is known too, however wrong the clock was by which it is
        stored.

        Args:
            moment, now: one time by the clock that is never set, and since the Unix epoch, ms.
        """
        before = dict(self._net)
        for known in (self._entries, self._recent, self._net):
            known.clear()
        self.epoch, self.seq, self.h = state.epoch, state.seq, state.h
        self.keys = 0
        entries = sorted(state.positions, key=lambda entry: entry.seq)
        times = corrected_times([entry.when for entry in entries], now)
        for entry, when in zip(entries, times, strict=True):
            self.apply(entry, moment - (now - when) / 1000)
        self._date_flat_symbols_with_orders(moment)
        for symbol in before.keys() & self._net.keys():
            former, position = before[symbol], self._net[symbol]
            same = former.volume == position.volume
            self._net[symbol] = replace(position, when=former.when if same else moment)

    def _date_flat_symbols_with_orders(self, moment: float) -> None:
        """
        Date those flat symbols at `moment` of which nothing but orders is stored.

        Their orders may be older than the close of the position: dated by these, the close would
        count as forgotten, and a classic follower that missed it would keep the position.
        """
        for symbol in self._entries:
            if not (position := self._net[symbol]).volume:
                self._net[symbol] = replace(position, when=moment)

    def held(self) -> list[Entry]:
        """Return the entries that stand, in their order: positions and orders that wait."""
        held = [each for entries in self._entries.values() for each in entries.values()]
        return sorted(held, key=lambda entry: entry.seq)

    def open_symbols(self) -> dict[str, int]:
        """Return the symbols with positions, each with its last entry."""
        return {
            symbol: max(each.seq for each in entries.values())
            for symbol, entries in self._entries.items()
            if any(each.type == POSITION for each in entries.values())
        }

    def apply(self, entry: Entry, when: float, room: bool = True) -> Change | None:
        """
        Set a position; return what it changes in the net position, if anything.

        Args:
            when: the moment at which it was set.
            room: whether a flat symbol may be remembered of which nothing was known.
        """
        if entry.seq >= self.seq:
            self.seq, self.h = entry.seq, entry.h
        self._recent[entry.seq] = entry
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]
        symbol, volume = entry.symbol, entry.volume
        entries = self._entries.setdefault(symbol, {})
        former = entries.pop(entry.ticket, None)
        if volume:
            entries[entry.ticket] = entry
        self.keys += bool(volume) - (former is not None)
        position = self._net.get(symbol)
        before = None if position is None else position.volume
        if len(entries) > 1:  # a sum over all tickets would cost more with each of them
            after = (before or FLAT) - _counted(former) + _counted(entry)
        elif volume:
            after = volume if entry.type == POSITION else FLAT
        else:
            after = _counted(next(iter(entries.values()), None))
        if not entries:
            del self._entries[symbol]
        if after == before or (before is None and not after and not room):
            return None
        self._changes += 1
        self._net[symbol] = Position(symbol, after, when, self._changes)
        return Change(self.name, symbol, after, entry.when, before)

    def flat(self, before: float) -> frozenset[str]:
        """Name the symbols that went flat before a moment."""
        return frozenset(p.symbol for p in self._flat() if p.when < before)

    def evict(self, before: float) -> str | None:
        """Forget the symbol that went flat first, if that was before a moment; name it."""
        flat = [p for p in self._flat() if p.when < before]
        if not flat:
            return None
        oldest = min(flat, key=lambda p: p.when).symbol
        del self._net[oldest]
        return oldest

    def expire(self, before: float) -> None:
        """Forget the symbols that went flat before a moment."""
        for position in [p for p in self._flat() if p.when < before]:
            del self._net[position.symbol]

    def flat_before(self, before: float) -> list[str]:
        """Name the symbols that went flat before a moment."""
        return [p.symbol for p in self._flat() if p.when < before]

    def _flat(self) -> Iterator[Position]:
        return (p for p in self._net.values() if not p.volume and p.symbol not in self._entries)


class Book(dict[str, Channel]):
    """The state of every channel that was ever named."""

    def channel(self, name: str) -> Channel:
        """Return a channel, a new one where there is none."""
        channel = self.get(name)
        if channel is None:
            channel = self[name] = Channel(name)
        return channel

    def load(self, name: str, state: State, moment: float, now: int) -> None:
        """Begin a channel with what is stored of it, as `Channel.load`."""
        self.channel(name).load(state, moment, now)

    def expire(self, before: float) -> None:
        """Forget the symbols that went flat before a moment."""
        for channel in self.values():
            channel.expire(before)

    def flat_before(self, before: float) -> set[tuple[str, str]]:
        """Name what `expire` would forget, as (channel, symbol)."""
        return {
            (name, symbol)
            for name, channel in self.items()
            for symbol in channel.flat_before(before)
        }


def corrected_times(times: list[int], now: int) -> list[int]:
    """
    Correct times of a clock that was wrong now and then, by the known order of events.

    None is later than now, nor earlier than one before it; where both cannot be, it counts as
    late: what is taken for too young is remembered too long, and not forgotten.

    Args:
        times: by the clock, in their true order.
    """
    latest, corrected = now, []
    for time in reversed(times):
        latest = min(latest, time) if time <= now else latest
        corrected.append(latest if time > now else time)
    newest = min(corrected, default=now)
    result = []
    for time in reversed(corrected):
        newest = max(newest, time)
        result.append(newest)
    return result


def _counted(entry: Entry | None) -> Decimal:
    """Return what an entry adds to the net position."""
    return FLAT if entry is None or entry.type != POSITION else entry.volume
