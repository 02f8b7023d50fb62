"""The tick port for datagrams; it never answers."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from mtnet.access.rights import Rights
from mtnet.daemon.environment import Environment
from mtnet.errors import WireError
from mtnet.interfaces import IBurstProtocol
from mtnet.net.endpoints import Listener, host_of, show
from mtnet.net.peer import ListenerAccess
from mtnet.net.udp import BatchingUdpPort, Received, set_receive_buffer
from mtnet.services.ticks import wire
from mtnet.services.ticks.ingest import RecordReader
from mtnet.services.ticks.model import Batch

HOSTS = 4_096
"""Senders in the cache of rights."""
BOUNDARY = b"\x01"
"""Marks the end of each datagram when several are parsed at once; no record contains it."""


@implementer(IBurstProtocol)
class TickDatagramProtocol(DatagramProtocol):
    """Batch receiver: parses all datagrams of a burst at once where it can."""

    log = Logger()
    transport: BatchingUdpPort

    def __init__(self, env: Environment, listener: Listener) -> None:
        self._env, self._access = env, ListenerAccess(env, listener)
        self._reader = RecordReader.of(env)
        self._collector = self._reader.collector
        self._rights: Callable[[str], Rights] = lru_cache(HOSTS)(self._find_rights)

    def startProtocol(self) -> None:
        """Grow the receive buffer; log when the kernel grants less."""
        wanted = self._env.section.receive_buffer
        granted = set_receive_buffer(self.transport, wanted)
        if granted < wanted:
            self.log.warn(
                "{port}: the kernel grants a receive buffer of {granted} bytes, and "
                "ticks.receive_buffer is {wanted}; `sysctl -w net.core.rmem_max={wanted}` lets "
                "it grant that",
                port=show(self.transport.getHost()),
                granted=granted,
                wanted=wanted,
            )
        self._collector.add_drop_counter(self.transport.dropped)

    def datagramReceived(self, data: bytes, address: tuple[Any, ...]) -> None:
        """Take one datagram."""
        self.datagramsReceived([(data, address)])

    def datagramsReceived(self, burst: Sequence[Received]) -> None:
        """Take datagrams that came at one time."""
        taken = self._permitted(burst)
        if not taken:
            return
        when = self._env.now()
        hosts = {address[0] for _, address in taken}
        whole = all(self._rights(host).all("send", "ticks") for host in hosts)
        if not (whole and self._take_at_once(taken, when)):
            for data, address in taken:
                self._read(address[0], data, when)

    def _find_rights(self, host: str) -> Rights:
        return self._access.rights(host_of(self.transport.getHost()), host)

    def _permitted(self, burst: Sequence[Received]) -> Sequence[Received]:
        """Return the datagrams of hosts that may send something; deny the others."""
        hosts = {address[0] for _, address in burst}
        denied = {host for host in hosts if not self._rights(host).any("send", "ticks")}
        if not denied:
            return burst
        self._deny([each for each in burst if each[1][0] in denied])
        return [each for each in burst if each[1][0] not in denied]

    def _take_at_once(self, burst: Sequence[Received], when: int) -> bool:
        """Take datagrams of one canonical record each; return False if any is different."""
        text = BOUNDARY.join([data for data, _ in burst]) + BOUNDARY
        text = text.replace(b"\0" + BOUNDARY, b"\n").replace(BOUNDARY, b"\n")
        if b"@@" in text:
            return False
        records = wire.split(text, self._reader.spaced)
        if records is None or len(records) != len(burst):
            return False
        hosts = {address[0] for _, address in burst}
        if len(hosts) == 1:
            self._collector.take(self._collector.source(hosts.pop()), records, when)
            return True
        sources = {host: self._collector.source(host) for host in hosts}
        each = [sources[address[0]] for _, address in burst]
        self._collector.take_each(each, records, when)
        return True

    def _read(self, host: str, data: bytes, when: int) -> None:
        text = self._text(host, data, when)
        if text is None:
            return
        collector, report_error = self._collector, partial(self._report_error, host)
        rights = self._rights(host)
        if text.startswith(b"@@"):
            line, _, text = text.partition(b"\n")
            try:
                header = wire.parse_header(line)
            except WireError as error:
                report_error(error)
                collector.count_refused(collector.source(host), 1, when)
            else:
                source, batch = collector.source(header.source), Batch(header.number, text)
                self._reader.take_batch(source, batch, text, when, report_error, rights)
                return
        source = collector.source(host)
        records = self._reader.read(source, text, when, report_error, rights)
        collector.take(source, records, when)

    def _text(self, host: str, data: bytes, when: int) -> bytes | None:
        """Return the records of a datagram, each ended by LF; None = it has none."""
        try:
            text = wire.lines(wire.payload(data) + b"\n")
            if text:
                return text
            raise wire.unreadable(data)
        except WireError as error:
            self._report_error(host, error)
        self._collector.count_refused(self._collector.source(host), 1, when)
        return None

    def _deny(self, burst: Sequence[Received]) -> None:
        self._collector.count_denied(len(burst))
        text = "It may send no ticks; access.anonymous and access.networks name what it may do"
        for _, address in burst:
            self._report_error(address[0], WireError("denied", text))

    def _report_error(self, host: str, error: WireError) -> None:
        if self._env.log.admits(host, self._env.clock.seconds(), f"ticks {error.code}"):
            self.log.warn("ticks: {host} sent what is refused: {error}", host=host, error=error)
