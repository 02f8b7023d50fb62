"""
Fills: at which prices the followers of a channel carried its last signals out.

Pure. Kept in memory alone, of a channel for its last `KEPT` signals that anybody acknowledged.
Times are milliseconds since the Unix epoch, UTC.
"""

from collections.abc import Iterator

from msgspec import Raw, Struct, json

from mtnet.services.signals.model import Entry
from mtnet.services.signals.wire.requests import Ack

KEPT = 100
"""Signals of a channel of which fills are known."""
NAMED = 20
"""Fills of one signal that are kept with their followers; more are counted. With `KEPT` it is
some 300 kB for a channel that is busy and has many followers, and 15 kB for one with one."""


class Fill(Struct, frozen=True):
    """
    A signal, carried out by one follower.

    Attributes:
        who: login and name, else the address.
        price: as the follower wrote it.
        time: when its acknowledgement came.
    """

    who: str
    price: str
    time: int


class SignalFills(Struct):
    """
    Outcome of one signal at the followers.

    Attributes:
        stored: when the signal was.
        volume: lots of the position that it set.
        price: the provider's; empty = it named none.
        filled, failed: how many followers said so.
        fills: the first of those that named a price.
    """

    seq: int
    symbol: str
    stored: int
    volume: str
    price: str
    filled: int = 0
    failed: int = 0
    fills: list[Fill] = []


class ChannelFills:
    """Bounded table of the fills of one channel, by signal."""

    def __init__(self) -> None:
        self._by_entry: dict[str, SignalFills] = {}
        self._encoded: dict[str, tuple[tuple[int, int, int], Raw]] = {}

    def __iter__(self) -> Iterator[SignalFills]:
        yield from self._by_entry.values()

    def encoded(self) -> list[Raw]:
        """Return them as JSON, by their numbers; few have changed since the last call."""
        known, self._encoded = self._encoded, {}
        for key, each in sorted(self._by_entry.items(), key=_seq):
            count = each.filled, each.failed, len(each.fills)
            found = known.get(key)
            if found is None or found[0] != count:
                found = count, Raw(json.encode(each))
            self._encoded[key] = found
        return [raw for _, raw in self._encoded.values()]

    def note(self, entry: Entry, ack: Ack, who: str, when: int) -> None:
        """Take what a follower says of an entry."""
        # A new epoch begins with the numbers of the former one, and with other hashes.
        key = f"{entry.seq} {entry.h}"
        found = self._by_entry.get(key) or self._add(key, entry)
        if ack.status == "failed":
            found.failed += 1
        elif ack.status == "filled":
            found.filled += 1
            if ack.price is not None and len(found.fills) < NAMED:
                found.fills.append(Fill(who, ack.price, when))

    def _add(self, key: str, entry: Entry) -> SignalFills:
        price = dict(entry.fields).get("price", "")
        volume = f"{entry.volume:f}"
        made = SignalFills(entry.seq, entry.symbol, entry.when, volume, price, fills=[])
        self._by_entry[key] = made
        if len(self._by_entry) > KEPT:
            del self._by_entry[next(iter(self._by_entry))]
        return made


def _seq(item: tuple[str, SignalFills]) -> int:
    return item[1].seq
