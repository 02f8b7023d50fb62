"""From lines to the collector: what datagrams and streams have in common."""

from collections.abc import Callable

from mtnet.errors import WireError
from mtnet.hub import Hub
from mtnet.ticks import wire
from mtnet.ticks.sources import Batch, Seen, Source, Verdict

Complain = Callable[[WireError], object]
"""Is told the first error of several."""


class Reader:
    """Reads records and hands them to the collector."""

    def __init__(self, hub: Hub) -> None:
        self.collector = hub.collector
        self.spaced = wire.spellings(hub.config.ticks.spaced_symbols)

    def read(self, source: Source, text: bytes, when: int, complain: Complain) -> list[wire.Record]:
        """
        Return the records of `text`, each ended by LF; count those that cannot be read.

        Args:
            complain: is told the first that cannot.
        """
        records = wire.split(text, self.spaced)
        return self._parse(source, text, when, complain) if records is None else records

    def take_batch(
        self, source: Source, batch: Batch, text: bytes, when: int, complain: Complain
    ) -> None:
        """Take the records of a whole numbered batch, unless it was here before."""
        records = self.read(source, text, when, complain)
        # A batch that is dropped counts as one that did not come: it may come again.
        if self.collector.has_room and self.is_repeat(source, batch.seen(), when):
            self.collector.repeat(source, records, when)
        else:
            self.collector.take(source, records, when)

    def is_repeat(self, source: Source, seen: Seen, when: int) -> bool:
        """Judge a batch by its number, and say whether it was here before."""
        return self.collector.numbered(source) and source.judge(seen, when) is Verdict.REPEAT

    def _parse(
        self, source: Source, text: bytes, when: int, complain: Complain
    ) -> list[wire.Record]:
        records, refused = [], 0
        for line in text.split(b"\n")[:-1]:
            try:
                records.append(wire.parse(line, self.spaced))
            except WireError as error:
                refused += 1
                if refused == 1:
                    complain(error)
        if refused:
            self.collector.refuse(source, refused, when)
        return records
