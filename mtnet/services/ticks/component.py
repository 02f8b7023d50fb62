"""Ticks as a component of the daemon."""

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from mtnet.daemon.component import Component, Resources
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
    ISessionVerbs,
    IStatus,
    IStreamListener,
    ITextStreams,
    ITicks,
)
from mtnet.net.endpoints import Listener
from mtnet.services.ticks.bars.stored import StoredBars
from mtnet.services.ticks.clocks.monitor import distance
from mtnet.services.ticks.cold.layout import FOLDER
from mtnet.services.ticks.cold.service import ColdService
from mtnet.services.ticks.cold.store import ColdStore
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.health.conditions import TickConditions
from mtnet.services.ticks.health.hours import TradingHours
from mtnet.services.ticks.http.resources import tick_routes
from mtnet.services.ticks.ingest import RecordReader
from mtnet.services.ticks.metrics import TickMetrics
from mtnet.services.ticks.protocol import TicksFactory
from mtnet.services.ticks.storage.compaction import Compaction
from mtnet.services.ticks.storage.hot import HotStore, copy_store
from mtnet.services.ticks.storage.log import FOLDER as LOG
from mtnet.services.ticks.storage.log import TALLY
from mtnet.services.ticks.storage.tally import Tally
from mtnet.services.ticks.udp import TickDatagramProtocol
from mtnet.services.ticks.verbs.handler import tick_verbs
from mtnet.services.ticks.wire import encode_symbol

log = Logger()


@implementer(IStreamListener, IFirstBytes, ITextStreams)
class TickStreams:
    """Takes streams of ticks, on the port, on shared ports and over WebSocket."""

    verbs = ("send", "read")
    silent = welcomes = False
    word = 0.0

    def __init__(self, env: Environment) -> None:
        self._env = env

    @cached_property
    def shared(self) -> TicksFactory:
        """The factory from which those of all listeners are made: they share its turns."""
        return TicksFactory(self._env, Listener(self._env.name, ""))

    def factory(self, listener: Listener) -> IProtocolFactory:
        """Return the factory of the stream connections of a listener."""
        return self.shared.at(listener)

    def reader(self) -> RecordReader:
        """Return what reads the records of all streams."""
        return self.shared.reader

    def streams(self) -> Mapping[str, Any]:
        """Return the sub-protocol of the stream over WebSocket."""
        return {"mtnet.ticks": self.shared.build}

    def recognize(self, head: bytes) -> bool | None:
        """Take what no other service takes: a record can begin with any byte."""
        return True

    def shared_factory(self, listener: Listener, silent: bool) -> IProtocolFactory:
        """Return the factory of connections at a shared port."""
        return self.shared.at(listener)


@implementer(IDatagramListener)
class TickDatagrams:
    """Takes datagrams of ticks."""

    datagram_verbs = ("send",)

    def __init__(self, env: Environment) -> None:
        self._env, self.turn = env, env.section.turn

    def protocol(self, listener: Listener) -> DatagramProtocol:
        """Return the protocol of the datagrams of a listener."""
        return TickDatagramProtocol(self._env, listener)


@implementer(IStatus)
class TickStatus:
    """Reports on what takes and stores ticks."""

    def __init__(
        self, collector: Collector, compaction: Compaction, cold: ColdService, sync: float
    ) -> None:
        self._collector, self._compaction, self._cold = collector, compaction, cold
        self._sync = sync

    def health(self) -> dict[str, object]:
        """
        Report for `/healthz`.

        A log that is not merged is a trouble from the first failure on: it grows, until ticks find
        no room. A day that was not compacted is a warning, and stays in SQLite.
        """
        health, warning = self._collector.health(), self._cold.cold.trouble
        if self._compaction.trouble is not None and health["trouble"] is None:
            health |= {"healthy": False, "trouble": self._compaction.trouble}
        return {**health, **({"warning": warning} if warning else {})}

    def status(self) -> dict[str, object]:
        """Report that, each sender, what a power cut may cost, and the cold store."""
        cost = f"costs ticks of {self._sync:g} s at most, and none that SYNC answered"
        status = {**self._collector.status(), **self.health()}
        return {**status, "power cut": cost, "cold": self._cold.status()}


@implementer(IBackup)
class TickBackup:
    """Copies the stored ticks of both stores."""

    obsolete = (TALLY, FOLDER, LOG)

    def __init__(self, path: Path, cold: ColdStore) -> None:
        self._path, self._cold = path, cold

    def backup(self, folder: Path) -> None:
        """Copy them, of one moment."""
        with self._cold.kept:
            copy_store(self._path, folder / self._path.name)
            self._cold.backup(folder)


def build(env: Environment) -> Component:
    """
    Build the component, which takes, publishes and stores ticks.

    Raises:
        JournalError: the store is damaged, or of a newer mtnet.
    """
    settings, path = env.section, env.file("ticks.sqlite")
    store, worker, tally = HotStore(path), env.worker(), Tally(env.file(TALLY))
    collector = Collector(settings, env.config.reserve, store, tally, env.clock, worker)
    collector.open()
    by_last = frozenset(map(encode_symbol, settings.bars_of_last))
    thread = env.worker("bars", patient=True)
    collector.bars.stored = StoredBars(path, thread, collector.sync, by_last)
    compaction = Compaction(store, env.clock, worker, collector.is_storing, settings.sync)
    cold = ColdService(env, store, worker, collector.is_storing)
    streams = TickStreams(env)
    return Component(
        {
            ITicks: collector,
            IStreamListener: streams,
            IFirstBytes: streams,
            ITextStreams: streams,
            IDatagramListener: TickDatagrams(env),
            ISessionVerbs: tick_verbs(collector),
            IHttpResources: Resources(lambda: tick_routes(env, collector, streams.reader)),
            IAlertConditions: TickConditions(collector, env.now, TradingHours(settings)),
            IMetrics: TickMetrics(collector, cold),
            IControlCommands: cold.commands(),
            IStatus: TickStatus(collector, compaction, cold, settings.sync),
            IBackup: TickBackup(path, cold.cold),
        },
        start=[partial(_start, env, collector), compaction.start, cold.start],
        stop=[compaction.stop, cold.stop, collector.close],
    )


def _start(env: Environment, collector: Collector) -> None:
    """Report what the last daemon lost, and from now on how the clocks of brokers change."""
    if collector.lost:
        log.warn(
            "The last daemon was killed: {count} ticks that it had taken were not on disk",
            count=collector.lost,
        )
    collector.clocks.report = partial(_report_clock, env)


def _report_clock(env: Environment, source: str, before: int, ahead: int) -> None:
    events = env.find(IEvents)
    if events is not None:
        events.record(
            "broker_clock_changed",
            f"The clock of {source} is {distance(ahead)} now; it was {distance(before)}.",
            "warning",
            source=source,
            before=before // 1_000,
            ahead=ahead // 1_000,
        )
