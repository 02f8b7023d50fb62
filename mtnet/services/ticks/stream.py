"""The records of one connection, and the batches that its headers make of them."""

from dataclasses import dataclass

from mtnet.daemon.environment import Environment
from mtnet.errors import WireError
from mtnet.net.peer import Visitor
from mtnet.services.ticks import wire
from mtnet.services.ticks.reader import RecordReader, ReportError
from mtnet.services.ticks.sources import Batch, Seen, Source


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
        visitor: what it may send.

    Attributes:
        kept: records that will be on disk after a `sync`, those that were there before included;
            of those that are held, none.
    """

    def __init__(
        self, env: Environment, host: str, report_error: ReportError, visitor: Visitor
    ) -> None:
        self._env, self._host, self._report_error = env, host, report_error
        self._visitor = visitor
        self._reader = RecordReader(env)
        self._collector = env.collector
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
        return self._reader.read(source, text, when, self._report_error, self._visitor.rights)

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
            most = self._env.config.ticks.max_symbols
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
