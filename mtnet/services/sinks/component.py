"""Sinks as a component of the daemon."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from zope.interface import implementer

from mtnet.daemon.component import Component
from mtnet.daemon.environment import Environment
from mtnet.errors import ConfigError
from mtnet.interfaces import IAlertConditions, IControlCommands, IMetrics, IStatus, ITicks
from mtnet.services.sinks.commands import SinkCommands
from mtnet.services.sinks.conditions import SinkConditions
from mtnet.services.sinks.metrics import SinkMetrics
from mtnet.services.sinks.queue import TickQueue
from mtnet.services.sinks.settings import SinksSettings
from mtnet.services.sinks.sink import Sink
from mtnet.services.sinks.store import QueueStore
from mtnet.services.sinks.targets import open_target
from mtnet.services.sinks.writer import BatchWriter

_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)


@implementer(IStatus)
class SinkStatus:
    """Reports how each server takes its ticks."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks

    def health(self) -> dict[str, Any]:
        """Report for `/healthz`: a server that takes nothing for long, and losses, are warnings."""
        texts = [text for each in self._sinks for text in each.warnings()]
        return {"healthy": True, "trouble": None, "warning": " ".join(texts) or None}

    def status(self) -> dict[str, Any]:
        """Report that, and each sink."""
        return {**self.health(), "sinks": [each.status() for each in self._sinks]}


def build(env: Environment) -> Component:
    """
    Build the component.

    Raises:
        ConfigError: a URL is invalid, or a package is missing.
        JournalError: a queue cannot be read.
    """
    settings: SinksSettings = env.section
    check(settings)
    worker = partial(env.worker, patient=True)
    sinks = []
    for name, sink in settings.tables.items():
        store = QueueStore(env.data / f"{name}.sqlite", settings.queue)
        queue = TickQueue(sink.symbols, store, env.worker(f"queue-{name}"))
        queue.open()
        target = open_target(name, sink, settings.timeout)
        network, seconds = worker(f"send-{name}"), env.clock.seconds
        writer = BatchWriter(target, network, settings.batch, settings.timeout, seconds)
        sinks.append(Sink(name, settings, queue, writer, env.clock))
    return Component(
        {
            IAlertConditions: SinkConditions(sinks),
            IControlCommands: SinkCommands(sinks),
            IMetrics: SinkMetrics(sinks),
            IStatus: SinkStatus(sinks),
        },
        start=[partial(_start, env, each) for each in sinks],
        stop=[each.stop for each in sinks],
    )


def _start(env: Environment, sink: Sink) -> None:
    """Send what waits, and the ticks that come."""
    env.find(ITicks).observe(sink.queue)
    sink.start()


def check(settings: SinksSettings) -> None:
    """
    Check the names and the URLs.

    Raises:
        ConfigError: one is invalid, or a package is missing.
    """
    for name, sink in settings.tables.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"[sinks.{name}]: a name has 1 to 32 of A-Z a-z 0-9 _ -. Example: [sinks.warehouse]"
            )
        open_target(name, sink, settings.timeout)
