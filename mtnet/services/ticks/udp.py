"""The tick port for datagrams; it never answers."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.errors import WireError
from mtnet.interfaces import IBurstProtocol
from mtnet.net.endpoints import Listener, host_of, show
from mtnet.net.peer import ListenerAccess
from mtnet.net.udp import BatchingUdpPort, Received, set_receive_buffer
from mtnet.services.ticks.ingest import DatagramIngest, record_reader

HOSTS = 4_096
"""Senders in the cache of rights."""


@implementer(IBurstProtocol)
class TickDatagramProtocol(DatagramProtocol):
    """Batch receiver: parses all datagrams of a burst at once where it can."""

    log = Logger()
    transport: BatchingUdpPort

    def __init__(self, env: Environment, listener: Listener) -> None:
        self._env, self._access = env, ListenerAccess(env, listener)
        self._ingest = DatagramIngest(record_reader(env), self._report_error)
        self._rights = lru_cache(HOSTS)(
            lambda host: self._access.rights(host_of(self.transport.getHost()), host)
        )

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
        collector = self._ingest.collector
        collector.add_drop_counter(self.transport.dropped)
        collector.fanout.add_backlog(self.transport.has_backlog)

    def datagramReceived(self, data: bytes, address: tuple[Any, ...]) -> None:
        """Take one datagram."""
        self.datagramsReceived([(data, address)])

    def datagramsReceived(self, burst: Sequence[Received]) -> None:
        """Take datagrams that came at one time."""
        hosts = {address[0] for _, address in burst}
        denied = {host for host in hosts if not self._rights(host).any("send", "ticks")}
        if denied:
            self._ingest.deny([address[0] for _, address in burst if address[0] in denied])
            burst = [each for each in burst if each[1][0] not in denied]
            if not burst:
                return
            hosts -= denied
        when = self._env.now()
        whole = all(self._rights(host).all("send", "ticks") for host in hosts)
        if whole and self._ingest.take_burst(burst, hosts, when):
            return
        with self._ingest.collector.burst():
            for data, address in burst:
                self._ingest.take(address[0], data, when, self._rights(address[0]))

    def _report_error(self, host: str, error: WireError) -> None:
        if self._env.log.admits(host, self._env.clock.seconds(), f"ticks {error.code}"):
            self.log.warn("ticks: {host} sent what is refused: {error}", host=host, error=error)
