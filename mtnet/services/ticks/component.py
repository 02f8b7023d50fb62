"""Ticks as a component of the daemon."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IAlertConditions,
    IBackup,
    IControlCommands,
    IDatagramListener,
    IEvents,
    IFirstBytes,
    IHttpResources,
    IMetrics,
    IService,
    ISessionVerbs,
    IStatus,
    IStreamListener,
    ITextStreams,
    ITicks,
)
from mtnet.net.endpoints import Listener
from mtnet.net.http.route import Route
from mtnet.net.peer import Peer
from mtnet.services.ticks.bars.stored import StoredBars
from mtnet.services.ticks.clocks.monitor import distance
from mtnet.services.ticks.cold.layout import FOLDER
from mtnet.services.ticks.cold.service import ColdService
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.health.conditions import TickConditions
from mtnet.services.ticks.health.hours import TradingHours
from mtnet.services.ticks.http.resources import tick_routes
from mtnet.services.ticks.metrics import TickMetrics
from mtnet.services.ticks.protocol import TicksFactory, TicksProtocol
from mtnet.services.ticks.storage.compaction import Compaction
from mtnet.services.ticks.storage.hot import HotStore, copy_store
from mtnet.services.ticks.storage.log import FOLDER as LOG
from mtnet.services.ticks.storage.log import TALLY
from mtnet.services.ticks.storage.tally import Tally
from mtnet.services.ticks.udp import TickDatagramProtocol
from mtnet.services.ticks.verbs.handler import TickVerbs
from mtnet.services.ticks.wire import encode_symbol


@implementer(
    IService,
    IStreamListener,
    IDatagramListener,
    IFirstBytes,
    ITextStreams,
    IHttpResources,
    IStatus,
    IBackup,
)
class TicksComponent:
    """
    Takes, publishes and stores ticks.

    Raises:
        JournalError: the store is damaged, or of a newer mtnet.
    """

    log = Logger()
    verbs = ("send", "read")
    datagram_verbs = ("send",)
    silent = welcomes = False
    word = 0.0
    obsolete = (TALLY, FOLDER, LOG)

    def __init__(self, env: Environment) -> None:
        self._env, self.turn = env, env.section.turn
        self._path = env.file("ticks.sqlite")
        store, worker = HotStore(self._path), env.worker()
        self.collector = Collector(
            env.section,
            env.config.reserve,
            store,
            Tally(env.file(TALLY)),
            env.clock,
            worker,
        )
        self.collector.open()
        self.collector.bars.stored = StoredBars(
            self._path,
            env.worker("bars", patient=True),
            self.collector.sync,
            frozenset(map(encode_symbol, env.section.bars_of_last)),
        )
        self._compaction = Compaction(
            store, env.clock, worker, self.collector.is_storing, env.section.sync
        )
        self._cold = ColdService(env, store, worker, self.collector.is_storing)
        self._verbs = TickVerbs(self.collector)
        self._conditions = TickConditions(self.collector, env.now, TradingHours(env.section))

    def __conform__(self, interface: Any) -> Any:
        if interface is ISessionVerbs:
            return self._verbs
        if interface is IAlertConditions:
            return self._conditions
        if interface is IMetrics:
            return TickMetrics(self.collector, self._cold)
        if interface is IControlCommands:
            return self._cold.commands()
        return self.collector if interface is ITicks else None

    def start(self) -> None:
        """Report what the last daemon lost, and begin to join blocks and to compact days."""
        if self.collector.lost:
            self.log.warn(
                "The last daemon was killed: {count} ticks that it had taken were not on disk",
                count=self.collector.lost,
            )
        self.collector.clocks.report = self._report_clock
        self._compaction.start()
        self._cold.start()

    def _report_clock(self, source: str, before: int, ahead: int) -> None:
        events = self._env.find(IEvents)
        if events is not None:
            events.record(
                "broker_clock_changed",
                f"The clock of {source} is {distance(ahead)} now; it was {distance(before)}.",
                "warning",
                source=source,
                before=before // 1_000,
                ahead=ahead // 1_000,
            )

    def stop(self) -> "Deferred[None]":
        """Store what was taken."""
        self._compaction.stop()
        self._cold.stop()
        return self.collector.close()

    def health(self) -> dict[str, object]:
        """
        Report for `/healthz`.

        A log that is not merged is a trouble from the first failure on: it grows, until ticks find
        no room. A day that was not compacted is a warning, and stays in SQLite.
        """
        health, warning = self.collector.health(), self._cold.cold.trouble
        if self._compaction.trouble is not None and health["trouble"] is None:
            health |= {"healthy": False, "trouble": self._compaction.trouble}
        return {**health, **({"warning": warning} if warning else {})}

    def status(self) -> dict[str, object]:
        """Report that, each sender, what a power cut may cost, and the cold store."""
        cost = f"costs ticks of {self._env.section.sync:g} s at most, and none that SYNC answered"
        status = {**self.collector.status(), **self.health()}
        return {**status, "power cut": cost, "cold": self._cold.status()}

    def backup(self, folder: Path) -> None:
        """Copy the stored ticks of both stores."""
        with self._cold.cold.kept:
            copy_store(self._path, folder / self._path.name)
            self._cold.cold.backup(folder)

    def routes(self) -> list[Route]:
        """Return the routes below `/v1/ticks`."""
        return tick_routes(self._env, self.collector, lambda: self._factory.reader)

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

    def streams(self) -> Mapping[str, Callable[[Peer], TicksProtocol]]:
        """Return the sub-protocol of the stream over WebSocket."""
        return {"mtnet.ticks": self._factory.build}

    def recognize(self, head: bytes) -> bool | None:
        """Take what no other service takes: a record can begin with any byte."""
        return True

    def shared_factory(self, listener: Listener, silent: bool) -> IProtocolFactory:
        """Return the factory of connections at a shared port."""
        return self._factory.at(listener)
