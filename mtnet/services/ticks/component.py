"""Ticks as a component of the daemon."""

from functools import cached_property
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IDatagramListener,
    IFirstBytes,
    IService,
    IStatus,
    IStreamListener,
    ITicks,
)
from mtnet.net.endpoints import Listener
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.protocol import TicksFactory
from mtnet.services.ticks.storage.store import Store
from mtnet.services.ticks.storage.tally import Tally
from mtnet.services.ticks.udp import TickDatagramProtocol


@implementer(IService, IStreamListener, IDatagramListener, IFirstBytes)
class TicksComponent:
    """
    Raises:
        JournalError: the store is damaged, or of a newer mtnet.
    """

    log = Logger()
    verbs = ("send", "read")
    silent = welcomes = False
    word = 0.0

    def __init__(self, env: Environment) -> None:
        self._env, self.turn = env, env.section.turn
        self.collector = Collector(
            env.section,
            env.config.reserve,
            Store(env.file("ticks.sqlite")),
            Tally(env.file("ticks.taken")),
            env.clock,
            env.worker(),
        )
        self.collector.open()

    def __conform__(self, interface: Any) -> Any:
        return self.collector if interface in (ITicks, IStatus) else None

    def start(self) -> None:
        """Report what the last daemon lost."""
        if self.collector.lost:
            self.log.warn(
                "The last daemon was killed: {count} ticks that it had taken were not on disk",
                count=self.collector.lost,
            )

    def stop(self) -> "Deferred[None]":
        """Store what was taken."""
        return self.collector.close()

    def factory(self, listener: Listener) -> IProtocolFactory:
        """Return the factory of the stream connections of a listener."""
        return self._factory.at(listener)

    @cached_property
    def _factory(self) -> TicksFactory:
        # All listeners share the turns of one reactor.
        return TicksFactory(self._env, Listener(self._env.name, ""))

    def protocol(self, listener: Listener) -> DatagramProtocol:
        """Return the protocol of the datagrams of a listener."""
        return TickDatagramProtocol(self._env, listener)

    def recognize(self, head: bytes) -> bool | None:
        """Take what no other service takes: a record can begin with any byte."""
        return True

    def shared_factory(self, listener: Listener, silent: bool) -> IProtocolFactory:
        """Return the factory of connections at a shared port."""
        return self._factory.at(listener)
