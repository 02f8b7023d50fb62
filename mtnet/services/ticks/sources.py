"""
The registry of senders, and the counts of what became of their records.

Pure. Every record that was read is stored in the end, or counted here as dropped, refused or
repeated.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mtnet.services.ticks.clocks.monitor import ClockMonitor
from mtnet.services.ticks.model import Source


@dataclass
class Counts:
    """
    Records since the daemon started.

    Attributes:
        received: records that were read.
        dropped: records that found no room in the queue or on the disk, or that the store
            rejected.
        unstored: those of `dropped` that the store rejected.
        refused: records that could not be read, or were not allowed.
        repeated: records that are on disk already.
    """

    received: int = 0
    dropped: int = 0
    unstored: int = 0
    refused: int = 0
    repeated: int = 0


class SourceRegistry:
    """
    Registry of senders by name, with a limit; senders beyond it are counted as one, `others`.

    Args:
        known: senders that the store has.
        others: the sender that stands for those beyond the limit.
        number: the number of the next new sender.
        limit: how many senders have a name of their own.

    Attributes:
        counts: of all senders together.
        clocks: measures the clock of each sender.
    """

    def __init__(self, known: Iterable[Source], others: Source, number: int, limit: int) -> None:
        self._by_name = {source.name: source for source in known}
        self._others, self._next, self._limit = others, number, limit
        self._changed: dict[int, Source] = {}
        self.counts, self.clocks = Counts(), ClockMonitor()

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Source]:
        return iter(self._by_name.values())

    @property
    def missing(self) -> int:
        """Numbered batches of all senders that were jumped over and have not come."""
        return sum(source.missing for source in (self._others, *self._by_name.values()))

    def status(self) -> dict[str, dict[str, object]]:
        """
        Return the counts of each sender by name, over all starts of the daemon, and by how many
        milliseconds its clock is `ahead` of UTC, None = that is not known yet.
        """
        return {
            name: {**source.status(), "ahead": self.clocks.ahead(name)}
            for name, source in self._by_name.items()
        }

    @property
    def has_changed(self) -> bool:
        """Whether counts of a sender changed since `take_changed`."""
        return bool(self._changed)

    def get(self, name: str) -> Source:
        """Return the sender of that name; beyond the limit, the one for all others."""
        found = self._by_name.get(name)
        if found is not None:
            return found
        if len(self._by_name) >= self._limit:
            return self._others
        found = self._by_name[name] = Source(name, self._next)
        self._next += 1
        return found

    def is_numbered(self, source: Source) -> bool:
        """Return whether batch numbers of a sender mean anything: `others` are many in one."""
        return source is not self._others

    def count_received(self, source: Source, records: int, when: int) -> None:
        """Count records that were read."""
        source.count_received(records, when)
        self._changed[source.number] = source
        self.counts.received += records

    def count_dropped(self, source: Source, records: int) -> None:
        """Count received records that there is no room for."""
        source.dropped += records
        self.counts.dropped += records

    def count_refused(self, source: Source, records: int) -> None:
        """Count received records that cannot be read, or have one symbol too many."""
        source.refused += records
        self.counts.refused += records

    def count_denied(self, records: int) -> None:
        """Count records of a sender that may not send."""
        self.counts.received += records
        self.counts.refused += records

    def count_repeated(self, source: Source, records: int) -> None:
        """Count received records that were here before."""
        source.repeated += records
        self.counts.repeated += records

    def count_unstored(self, ticks: Mapping[int, int]) -> None:
        """Count ticks, by the number of their sender, that were taken and the store rejected."""
        by_number = {source.number: source for source in (self._others, *self._by_name.values())}
        for number, count in ticks.items():
            self.counts.dropped += count
            self.counts.unstored += count
            source = by_number.get(number)
            if source is not None:
                source.dropped += count
                source.unstored += count
                self._changed[number] = source

    def take_changed(self) -> list[Source]:
        """Return the senders whose counts changed since the last call."""
        changed, self._changed = self._changed, {}
        return list(changed.values())
