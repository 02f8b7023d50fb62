"""
From lines to the collector: records, the batches that headers make of them, and repetitions.

Datagrams use `RecordReader` directly; each connection has a `StreamIngest`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mtnet.access.rights import Rights
from mtnet.daemon.environment import Environment
from mtnet.errors import WireError
from mtnet.interfaces import ISignals, ITicks
from mtnet.net.peer import Peer
from mtnet.services.ticks import wire
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.model import Batch, Seen, Source, Verdict

ReportError = Callable[[WireError], object]
"""Is told the first error of several."""


class RecordReader:
    """Reads records and hands them to the collector."""

    def __init__(self, env: Environment) -> None:
        self.collector: Collector = env.find(ITicks)
        self.codepage = env.find(ISignals).codepage
        self.spaced = wire.spaced_symbols_table(env.section.spaced_symbols, self.codepage)

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


@dataclass
class PossibleRepeat:
    """
    The beginning of a batch whose number was here before.

    Attributes:
        batch: as far as it came.
        seen: what is remembered of its number.
        records: that are neither stored nor dropped until as many came as are remembered.
    """

    batch: Batch
    seen: Seen
    records: list[wire.Record]


class StreamIngest:
    """
    Takes the records of one connection.

    A batch goes to the collector as it comes, since it may never end. Where its number was here
    before, its records are held until it is known whether they are a repetition; what comes
    behind the repeated ones is new: the connection that sent the batch first was cut there.

    Args:
        host: the sender, until a header names it.
        report_error: is told the first of several records that cannot be read.
        peer: what it may send.

    Attributes:
        kept: records that will be on disk after a `sync`, those that were there before included;
            of those that are held, none.
    """

    def __init__(self, env: Environment, host: str, report_error: ReportError, peer: Peer) -> None:
        self._env, self._host, self._report_error = env, host, report_error
        self._peer = peer
        self._reader = RecordReader(env)
        self._collector: Collector = env.find(ITicks)
        self._source: Source | None = None
        self._batch: Batch | None = None
        self._held: PossibleRepeat | None = None
        self._broken = False
        self._unstored: dict[int, tuple[Source, int]] = {}
        self.kept = 0

    def take(self, text: bytes) -> None:
        """Take records, each ended by LF."""
        when = self._env.now()
        if self._held is None:
            self._take(text, when)
            return
        for line in text.split(b"\n")[:-1]:
            if self._held is None:
                self._take(line + b"\n", when)
            else:
                self._hold(self._held, line + b"\n", when)

    def begin(self, header: wire.Header) -> None:
        """Let the records from here on be a batch of their own."""
        self.settle()
        source = self._become(self._collector.source(header.source))
        self._batch, self._broken = Batch(header.number), False
        if not self._collector.is_numbered(source):
            self._batch = None
            return
        known = source.known(header.number)
        if known is None:
            source.classify(self._batch.seen(), self._env.now())
        elif known.records:
            self._held = PossibleRepeat(self._batch, known, [])

    def settle(self) -> None:
        """No more records come that would tell whether those held are a repetition."""
        if self._held is not None:
            self._judge(self._held, self._env.now())

    def cut(self) -> None:
        """The connection broke, or is not heard any more: its sender sends again what was held."""
        held, self._held = self._held, None
        if held is not None and held.records:
            self._collector.count_refused(self._sender(), len(held.records), self._env.now())
            text = f"{len(held.records)} records of a batch that was here before are cut off"
            self._report_error(WireError("tick", text))

    @property
    def lost(self) -> int:
        """How many records of its senders the store would not have since they sent here."""
        return sum(source.unstored - before for source, before in self._unstored.values())

    def refuse(self) -> None:
        """Count a line that is no record."""
        self._collector.count_refused(self._sender(), 1, self._env.now())

    def _sender(self) -> Source:
        return self._source or self._become(self._collector.source(self._host))

    def _become(self, source: Source) -> Source:
        self._source = source
        self._unstored.setdefault(source.number, (source, source.unstored))
        return source

    def _read(self, source: Source, text: bytes, when: int) -> list[wire.Record]:
        return self._reader.read(source, text, when, self._report_error, self._peer.rights)

    def _take(self, text: bytes, when: int) -> None:
        source = self._sender()
        records = self._read(source, text, when)
        if self._batch is None:
            self.kept += self._store(source, records, when)
            return
        # Behind a hole nothing more of a batch is taken: what is remembered of it is what was
        # stored, so that all the rest can come again.
        self._broken = self._broken or not self._collector.has_room
        if self._broken:
            self._collector.count_dropped(source, len(records), when)
            return
        self.kept += self._store(source, records, when)
        self._batch.add(text)
        source.remember(self._batch.seen())

    def _store(self, source: Source, records: list[wire.Record], when: int) -> int:
        room = self._collector.has_room
        kept = self._collector.take(source, records, when)
        if room and kept < len(records):
            most = self._env.section.max_symbols
            text = f"There are {most} symbols (ticks.max_symbols); records of more are refused"
            self._report_error(WireError("symbol", text))
        return kept

    def _hold(self, held: PossibleRepeat, line: bytes, when: int) -> None:
        held.records += self._read(self._sender(), line, when)
        held.batch.add(line)
        if held.batch.records == held.seen.records:
            self._judge(held, when)

    def _judge(self, held: PossibleRepeat, when: int) -> None:
        self._held, source = None, self._sender()
        if not self._collector.has_room:  # it counts as not come, and may come again
            self._broken = True
            self._collector.count_dropped(source, len(held.records), when)
        elif self._reader.is_repeat(source, held.batch.seen(), when):
            self.kept += self._collector.count_repeated(source, held.records, when)
        else:
            self.kept += self._store(source, held.records, when)
