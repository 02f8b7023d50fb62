"""From lines to the collector: what datagrams and streams have in common."""

from collections.abc import Callable

from mtnet.access.rights import Rights
from mtnet.daemon.environment import Hub
from mtnet.errors import WireError
from mtnet.services.ticks import wire
from mtnet.services.ticks.sources import Batch, Seen, Source, Verdict

Complain = Callable[[WireError], object]
"""Is told the first error of several."""


class Reader:
    """Reads records and hands them to the collector."""

    def __init__(self, hub: Hub) -> None:
        self.collector = hub.collector
        self.codepage = hub.config.signals.codepage
        self.spaced = wire.spellings(hub.config.ticks.spaced_symbols, self.codepage)

    def read(
        self, source: Source, text: bytes, when: int, complain: Complain, rights: Rights
    ) -> list[wire.Record]:
        """
        Return the records of `text`, each ended by LF; count those that cannot be read.

        Args:
            complain: is told the first that cannot, and that some may not be sent.
            rights: of the sender.
        """
        records = wire.split(text, self.spaced)
        if records is None:
            records = self._parse(source, text, when, complain)
        return self._permitted(records, complain, rights)

    def take_batch(
        self,
        source: Source,
        batch: Batch,
        text: bytes,
        when: int,
        complain: Complain,
        rights: Rights,
    ) -> None:
        """Take the records of a whole numbered batch, unless it was here before."""
        records = self.read(source, text, when, complain, rights)
        # A batch that is dropped counts as one that did not come: it may come again.
        if self.collector.has_room and self.is_repeat(source, batch.seen(), when):
            self.collector.repeat(source, records, when)
        else:
            self.collector.take(source, records, when)

    def is_repeat(self, source: Source, seen: Seen, when: int) -> bool:
        """Judge a batch by its number, and say whether it was here before."""
        return self.collector.numbered(source) and source.judge(seen, when) is Verdict.REPEAT

    def _permitted(
        self, records: list[wire.Record], complain: Complain, rights: Rights
    ) -> list[wire.Record]:
        if rights.all("send", "ticks"):
            return records
        allowed = [each for each in records if rights.may("send", "ticks", each[0].decode())]
        if len(allowed) < len(records):
            self.collector.deny(len(records) - len(allowed))
            complain(WireError("denied", "Some of these symbols may not be sent from here"))
        return allowed

    def _parse(
        self, source: Source, text: bytes, when: int, complain: Complain
    ) -> list[wire.Record]:
        records, refused = [], 0
        for line in text.split(b"\n")[:-1]:
            try:
                records.append(wire.parse(line, self.spaced, self.codepage))
            except WireError as error:
                refused += 1
                if refused == 1:
                    complain(error)
        if refused:
            self.collector.refuse(source, refused, when)
        return records
