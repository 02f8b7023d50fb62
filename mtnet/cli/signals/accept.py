"""`mtnet signals accept`: continues a channel as it is."""

import os
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from mtnet.cli import local

if TYPE_CHECKING:
    from mtnet.daemon.datadir import DataFolder


def accept(arguments: Namespace) -> None:
    """
    Continue a channel as it is, in the running daemon or without one.

    Raises:
        StartError: the folder cannot be used.
        JournalError: the disk failed.
        WireError: the channel is sound or does not exist.
    """
    folder = local.folder(arguments)
    with local.admin_session(folder, partial(_offline, arguments)) as asked:
        held = asked("signals accept", channel=arguments.channel, new_epoch=arguments.new_epoch)
    print(f"{arguments.channel} goes on with {held} positions and orders.", flush=True)


@contextmanager
def _offline(arguments: Namespace, folder: "DataFolder") -> Iterator[local.RunCommand]:
    """Yield a function that accepts a channel while no daemon runs."""
    from twisted.internet.defer import Deferred, maybeDeferred
    from twisted.internet.task import Clock

    from mtnet.clock import WallClock, system_time
    from mtnet.coroutines import result_of
    from mtnet.daemon.configuration import load
    from mtnet.services.signals.history.epochs import Epochs
    from mtnet.services.signals.journal.journal import Journal
    from mtnet.services.signals.service import SignalService

    settings = load(arguments.config, os.environ).section("signals")
    journal = Journal(folder.path / "signals.sqlite", settings.retain)
    clock = WallClock(system_time, time.monotonic)
    signals = SignalService(settings, journal, Clock(), clock, maybeDeferred)
    signals.open()
    try:
        yield lambda command, channel, new_epoch: result_of(
            Deferred.fromCoroutine(Epochs(signals).accept(channel, new_epoch))
        )
    finally:
        journal.close()
