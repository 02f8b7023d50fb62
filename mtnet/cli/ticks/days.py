"""`mtnet ticks compact`, `prune` and `delete`: by the daemon, or on its folder."""

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from mtnet.callbacks import noop
from mtnet.cli import local
from mtnet.cli.ticks.stored import progress_bar, stored_symbol
from mtnet.clock import system_time
from mtnet.coroutines import result_of
from mtnet.daemon.configuration import load
from mtnet.errors import ClientError
from mtnet.services.ticks.cold.service import ColdCommands
from mtnet.services.ticks.cold.store import ColdStore
from mtnet.services.ticks.preflight import check
from mtnet.services.ticks.storage.hot import HotStore
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.wire import plain_symbol
from mtnet.storage.worker import InlineWorker

if TYPE_CHECKING:
    from mtnet.daemon.datadir import DataFolder

FILE = "ticks.sqlite"
"""In the data folder."""
PIECE = 100_000
"""Ticks between two moves of the progress bar: about a second."""


def compact(arguments: Namespace) -> None:
    """
    Write closed days into Parquet files.

    Raises:
        ClientError: there are no ticks, a day cannot be compacted, or the daemon refuses.
        JournalError: DuckDB is not installed, or the disk failed.
    """
    files = ticks = 0
    with _session(arguments) as run:
        made = run("ticks compact", before=arguments.before, most=0)
        with progress_bar(made["left"]) as progress:
            while made["left"]:
                made = run("ticks compact", before=arguments.before, most=PIECE)
                progress(made["ticks"])
                files, ticks = files + made["files"], ticks + made["ticks"]
    print(f"{ticks} ticks are in {files} new Parquet files.", flush=True)
    if made["trouble"]:
        raise ClientError(f"A day stays in SQLite. {made['trouble']}")


def prune(arguments: Namespace) -> None:
    """
    Delete the days that are no longer kept.

    Raises:
        ClientError, JournalError: as `compact`.
        WireError: `ticks.retain` is empty.
    """
    with _session(arguments) as run:
        print(f"{run('ticks prune')['ticks']} ticks are deleted.", flush=True)


def delete(arguments: Namespace) -> None:
    """
    Delete the ticks of a symbol.

    Raises:
        ClientError, JournalError: as `compact`; or there are no ticks of it.
        WireError: a day is not a date, or there is none between the two.
    """
    known = {row["symbol"] for row in _store(arguments).symbols()}
    symbol = plain_symbol(stored_symbol(arguments.symbol, known).encode())
    span = {"start": arguments.start, "stop": arguments.stop}
    if not arguments.yes:
        days = " ".join(f"{name} {day}" for name, day in _named(span)) or "of all days"
        raise ClientError(
            f"Nothing is deleted: add --yes to delete the ticks of {symbol} {days}, for good."
        )
    with _session(arguments) as run:
        done = run("ticks delete", symbol=symbol, **span)
    print(f"{done['ticks']} ticks are deleted.", flush=True)


def _named(span: dict[str, str | None]) -> Iterator[tuple[str, str]]:
    for name, key in (("from", "start"), ("to", "stop")):
        day = span[key]
        if day is not None:
            yield name, day


def _store(arguments: Namespace) -> TickReader:
    return TickReader(local.folder(arguments) / FILE)


def _session(arguments: Namespace) -> AbstractContextManager[local.RunCommand]:
    _store(arguments)  # or a sentence says that there is none
    return local.admin_session(local.folder(arguments), partial(_offline, arguments), wait=None)


@contextmanager
def _offline(arguments: Namespace, folder: "DataFolder") -> Iterator[local.RunCommand]:
    """Yield a function that runs the commands on the folder."""
    folder.check_restored()
    settings = load(arguments.config, os.environ, data=arguments.data).section("ticks")
    check(settings)
    store, worker = HotStore(folder.path / FILE), InlineWorker()
    store.prepare()
    cold = ColdStore(store, worker, worker, noop)
    commands = ColdCommands(cold, settings, system_time).commands()
    try:
        yield lambda command, **values: result_of(commands[command](values))
    finally:
        store.close()
