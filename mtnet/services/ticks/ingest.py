"""
Ingest: reads records, groups them into batches by their headers, and finds repeated batches.

Each port for datagrams has a `DatagramIngest`, each connection a `StreamIngest`.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from mtnet.access.rights import Rights
from mtnet.daemon.environment import Environment
from mtnet.errors import WireError
from mtnet.interfaces import ISignals, ITicks
from mtnet.services.ticks import wire
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.model import Batch, Seen, Source, Verdict

BOUNDARY = b"\x01"
"""Marks the end of each datagram when several are parsed at once; no record contains it."""
ENDS = b"\0" + BOUNDARY, b"\r\n" + BOUNDARY, b"\n" + BOUNDARY, BOUNDARY
"""How datagrams end: a classic sender ends them with NUL."""

Datagram = tuple[bytes, tuple[Any, ...]]
"""Bytes, and the address of the sender."""
ReportError = Callable[[WireError], object]
"""Called with the first error of several."""


class RecordReader:
    """
    Parser of records that checks rights, and passes batches to the collector once.

    Args:
        spaced: symbols with blanks that senders may use.
        codepage: how a symbol is read that is not UTF-8.
    """

    def __init__(self, collector: Collector, spaced: Iterable[str], codepage: str) -> None:
        self.collector, self.codepage = collector, codepage
        self.spaced = wire.spaced_symbols_table(spaced, codepage)

    def read(
        self, source: Source, text: bytes, when: int, report_error: ReportError, rights: Rights
    ) -> list[wire.Record]:
        """
        Return the records of `text`, each ended by LF; invalid ones are counted.

        Args:
            report_error: called with the first error, and when some records are denied.
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
        """Take the records of a whole numbered batch, unless it is a repetition."""
        records = self.read(source, text, when, report_error, rights)
        # A dropped batch counts as missing: its sender may repeat it.
        if self.collector.has_room and self.is_repeat(source, batch.seen(), when):
            self.collector.count_repeated(source, records, when)
        else:
            self.collector.take(source, records, when)

    def is_repeat(self, source: Source, seen: Seen, when: int) -> bool:
        """Classify a batch by its number, and return whether it is a repetition."""
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


def record_reader(env: Environment) -> RecordReader:
    """Return the reader of an environment, whose components are all built."""
    codepage = env.find(ISignals).codepage
    return RecordReader(env.find(ITicks), env.section.spaced_symbols, codepage)


class DatagramIngest:
    """
    Parser of bursts of datagrams: all at once, where every record is canonical.

    Args:
        report_error: called with a sender's address and its first error.

    Attributes:
        collector: takes the records.
    """

    def __init__(
        self, reader: RecordReader, report_error: Callable[[str, WireError], object]
    ) -> None:
        self._reader, self.collector = reader, reader.collector
        self._report_error = report_error

    def take_burst(self, burst: Sequence[Datagram], hosts: Collection[str], when: int) -> bool:
        """
        Take datagrams of canonical records, of several hosts one record each; return False if any
        is different.

        Args:
            hosts: of the datagrams.
        """
        found = [data for data, _ in burst]
        text = BOUNDARY.join(found) + BOUNDARY
        # One byte is found ten times as fast as two.
        if b"@" in text and b"@@" in text:
            return False
        # What ends a datagram would take the mark of an empty one along.
        if not all(found) or text.count(BOUNDARY) > len(found):
            return False
        for end in ENDS:
            text = text.replace(end, b"\n")
            if BOUNDARY not in text:
                break
        records = wire.split(text, self._reader.spaced)
        if records is None or (len(records) != len(burst) and _may_differ(burst, hosts)):
            return False
        sources = {host: self.collector.source(host) for host in hosts}
        if len(sources) == 1:
            self.collector.take(next(iter(sources.values())), records, when)
            return True
        each = [sources[address[0]] for _, address in burst]
        self.collector.take_each(each, records, when)
        return True

    def take(self, host: str, data: bytes, when: int, rights: Rights) -> None:
        """Take one datagram; a header makes a batch of its records."""
        text = self._text(host, data, when)
        if text is None:
            return
        report_error = partial(self._report_error, host)
        if text.startswith(b"@@"):
            line, _, text = text.partition(b"\n")
            try:
                header = wire.parse_header(line)
            except WireError as error:
                self._refuse(host, error, when)
            else:
                source, batch = self.collector.source(header.source), Batch(header.number, text)
                self._reader.take_batch(source, batch, text, when, report_error, rights)
                return
        source = self.collector.source(host)
        records = self._reader.read(source, text, when, report_error, rights)
        self.collector.take(source, records, when)

    def deny(self, hosts: Sequence[str]) -> None:
        """Count a datagram of each of these hosts, which may not send."""
        self.collector.count_denied(len(hosts))
        text = "It may send no ticks; access.anonymous and access.networks name what it may do"
        for host in hosts:
            self._report_error(host, WireError("denied", text))

    def _text(self, host: str, data: bytes, when: int) -> bytes | None:
        """Return the records of a datagram, each ended by LF; None = it has none."""
        try:
            text = wire.lines(wire.payload(data) + b"\n")
            if text:
                return text
            raise wire.unreadable(data)
        except WireError as error:
            self._refuse(host, error, when)
        return None

    def _refuse(self, host: str, error: WireError, when: int) -> None:
        self._report_error(host, error)
        self.collector.count_refused(self.collector.source(host), 1, when)


def _may_differ(burst: Sequence[Datagram], hosts: Collection[str]) -> bool:
    """Return whether the records of several datagrams have several sources, or may be cut."""
    return len(hosts) > 1 or max(len(data) for data, _ in burst) > wire.MAX_DATAGRAM


class Sender(Protocol):
    """A connection or a request that sends records; its rights may change meanwhile."""

    rights: Rights


@dataclass
class PossibleRepeat:
    """
    The beginning of a batch whose number is known.

    Attributes:
        batch: as far as it has come.
        seen: the fingerprint of the batch that had this number.
        records: held until as many have come as that batch had.
    """

    batch: Batch
    seen: Seen
    records: list[wire.Record]


class StreamIngest:
    """
    Deduplicator of the records of one connection.

    A batch goes to the collector as it comes, since it may never end. If its number is known, its
    records are held until they prove to be a repetition or not. Records after the repeated ones
    are new: the connection that sent the batch first was cut there.

    Args:
        now: wall time, milliseconds since the Unix epoch, UTC.
        host: the sender, until a header names it.
        report_error: called with the first error of several records.
        sender: with its rights.

    Attributes:
        kept: records that will be on disk after a `sync`, including those that were there before;
            held records do not count.
        repeated: of them, those that were there before.
    """

    def __init__(
        self,
        reader: RecordReader,
        now: Callable[[], int],
        host: str,
        report_error: ReportError,
        sender: Sender,
    ) -> None:
        self._reader, self._collector, self._now = reader, reader.collector, now
        self._host, self._report_error, self._peer = host, report_error, sender
        self._source: Source | None = None
        self._batch: Batch | None = None
        self._held: PossibleRepeat | None = None
        self._broken = False
        self._unstored: dict[int, tuple[Source, int]] = {}
        self.kept = self.repeated = 0

    def take(self, text: bytes) -> None:
        """Take records, each ended by LF."""
        when = self._now()
        if self._held is None:
            self._take(text, when)
            return
        for line in text.split(b"\n")[:-1]:
            if self._held is None:
                self._take(line + b"\n", when)
            else:
                self._hold(self._held, line + b"\n", when)

    def begin(self, header: wire.Header) -> None:
        """Begin a batch with the next record."""
        self.settle()
        source = self._become(self._collector.source(header.source))
        self._batch, self._broken = Batch(header.number), False
        if not self._collector.is_numbered(source):
            self._batch = None
            return
        known = source.known(header.number)
        if known is None:
            source.classify(self._batch.seen(), self._now())
        elif known.records:
            self._held = PossibleRepeat(self._batch, known, [])

    def settle(self) -> None:
        """Decide about held records: no more will come."""
        if self._held is not None:
            self._judge(self._held, self._now())

    def cut(self) -> None:
        """Refuse held records: the connection broke, and its sender will repeat them."""
        held, self._held = self._held, None
        if held is not None and held.records:
            self._collector.count_refused(self._sender(), len(held.records), self._now())
            text = f"{len(held.records)} records of a batch that was here before are cut off"
            self._report_error(WireError("tick", text))

    @property
    def lost(self) -> int:
        """How many records of its senders the store rejected since they sent here."""
        return sum(source.unstored - before for source, before in self._unstored.values())

    def refuse(self) -> None:
        """Count a line that is not a record."""
        self._collector.count_refused(self._sender(), 1, self._now())

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
        # After a gap no more of a batch is taken: its fingerprint is that of the stored records, so
        # that the sender can repeat all the rest.
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
            most = self._collector.max_symbols
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
        if not self._collector.has_room:  # it counts as missing, and may be repeated
            self._broken = True
            self._collector.count_dropped(source, len(held.records), when)
        elif self._reader.is_repeat(source, held.batch.seen(), when):
            repeated = self._collector.count_repeated(source, held.records, when)
            self.kept += repeated
            self.repeated += repeated
        else:
            self.kept += self._store(source, held.records, when)
