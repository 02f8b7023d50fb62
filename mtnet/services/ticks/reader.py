"""From lines to the collector: what datagrams and streams have in common."""

from collections.abc import Callable

from mtnet.access.rights import Rights
from mtnet.daemon.environment import Environment
from mtnet.errors import WireError
from mtnet.services.ticks import wire
from mtnet.services.ticks.sources import Batch, Seen, Source, Verdict

ReportError = Callable[[WireError], object]
"""Is told the first error of several."""


class RecordReader:
    """Reads records and hands them to the collector."""

    def __init__(self, env: Environment) -> None:
        self.collector = env.collector
        self.codepage = env.config.signals.codepage
        self.spaced = wire.spaced_symbols_table(env.config.ticks.spaced_symbols, self.codepage)

    def read(
        self, source: Source, text: bytes, when: int, report_error: ReportError, rights: Rights
    ) -> list[wire.Record]:
        """
        Return the records of `text`, each ended by LF; count those that cannot be read.

        Args:
            report_error: is told the first that cannot, and that some may not be sent.
            rights: of the sender.
        """
        records = wire.split(text, self.spaced)
        if records is None:
            records = self._parse(source, text, when, report_error)
        return self._permitted(records, report_error, rights)

    def take_batch(
        self,
        source: Source,
        batch: Batch,
        text: bytes,
        when: int,
        report_error: ReportError,
        rights: Rights,
    ) -> None:
        """Take the records of a whole numbered batch, unless it was here before."""
        records = self.read(source, text, when, report_error, rights)
        # A batch that is dropped counts as one that did not come: it may come again.
        if self.collector.has_room and self.is_repeat(source, batch.seen(), when):
            self.collector.count_repeated(source, records, when)
        else:
            self.collector.take(source, records, when)

    def is_repeat(self, source: Source, seen: Seen, when: int) -> bool:
        """Judge a batch by its number, and say whether it was here before."""
        return self.collector.is_numbered(source) and source.classify(seen, when) is Verdict.REPEAT

    def _permitted(
        self, records: list[wire.Record], report_error: ReportError, rights: Rights
    ) -> list[wire.Record]:
        if rights.all("send", "ticks"):
            return records
        allowed = [each for each in records if rights.may("send", "ticks", each[0].decode())]
        if len(allowed) < len(records):
            self.collector.count_denied(len(records) - len(allowed))
            report_error(WireError("denied", "Some of these symbols may not be sent from here"))
        return allowed

    def _parse(
        self, source: Source, text: bytes, when: int, report_error: ReportError
    ) -> list[wire.Record]:
        records, refused = [], 0
        for line in text.split(b"\n")[:-1]:
            try:
                records.append(wire.parse(line, self.spaced, self.codepage))
            except WireError as error:
                refused += 1
                if refused == 1:
                    report_error(error)
        if refused:
            self.collector.count_refused(source, refused, when)
        return records
