"""`mtnet ticks compact`, `prune` and `delete`: by the daemon, or on its folder."""

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from mtnet.callbacks import noop
from mtnet.cli import local
from mtnet.client.core.prices.ticks import wire_symbol
from mtnet.clock import system_time
from mtnet.coroutines import result_of
from mtnet.daemon.configuration import load
from mtnet.errors import ClientError
from mtnet.services.ticks.cold.service import ColdCommands
from mtnet.services.ticks.cold.store import ColdStore
from mtnet.services.ticks.storage.hot import HotStore
from mtnet.services.ticks.wire import plain_symbol
from mtnet.storage.worker import InlineWorker

if TYPE_CHECKING:
    from mtnet.daemon.datadir import DataFolder

FILE = "ticks.sqlite"
"""In the data folder."""


def compact(arguments: Namespace) -> None:
    """
    Write closed days into Parquet files.

    Raises:
        ClientError: there are no ticks, a day cannot be compacted, or the daemon refuses.
        JournalError: DuckDB is not installed, or the disk failed.
    """
    made = _run(arguments, "ticks compact", before=arguments.before)
    print(f"{made['ticks']} ticks are in {made['files']} new Parquet files.", flush=True)
    if made["trouble"]:
        raise ClientError(f"A day stays in SQLite. {made['trouble']}")


def prune(arguments: Namespace) -> None:
    """
    Delete the days that are no longer kept.

    Raises:
        ClientError, JournalError: as `compact`.
        WireError: `ticks.retain` is empty.
    """
    print(f"{_run(arguments, 'ticks prune')['ticks']} ticks are deleted.", flush=True)


def delete(arguments: Namespace) -> None:
    """
    Delete the ticks of a symbol.

    Raises:
        ClientError, JournalError: as `compact`.
        WireError: a day is not a date.
    """
    symbol = plain_symbol(wire_symbol(arguments.symbol))
    span = {"start": arguments.start, "stop": arguments.stop}
    if not arguments.yes:
        days = " ".join(f"{name} {day}" for name, day in _named(span)) or "of all days"
        raise ClientError(
            f"Nothing is deleted: add --yes to delete the ticks of {symbol} {days}, for good."
        )
    done = _run(arguments, "ticks delete", symbol=symbol, **span)
    print(f"{done['ticks']} ticks are deleted.", flush=True)


def _named(span: dict[str, str | None]) -> Iterator[tuple[str, str]]:
    for name, key in (("from", "start"), ("to", "stop")):
        day = span[key]
        if day is not None:
            yield name, day


def _run(arguments: Namespace, command: str, **values: Any) -> Any:
    folder = local.folder(arguments)
    if not (folder / FILE).exists():
        raise ClientError(f"There are no ticks in {folder}: {FILE} is not there.")
    with local.admin_session(folder, partial(_offline, arguments), wait=None) as run:
        return run(command, **values)


@contextmanager
def _offline(arguments: Namespace, folder: "DataFolder") -> Iterator[local.RunCommand]:
    """Yield a function that runs the commands on the folder."""
    folder.check_restored()
    settings = load(arguments.config, os.environ, data=arguments.data).section("ticks")
    store, worker = HotStore(folder.path / FILE), InlineWorker()
    store.prepare()
    cold = ColdStore(store, worker, worker, noop)
    commands = ColdCommands(cold, settings, system_time).commands()
    try:
        yield lambda command, **values: result_of(commands[command](values))
    finally:
        store.close()
