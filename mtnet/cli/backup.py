"""`mtnet backup` and `mtnet restore`: everything that the daemon stores, in one folder."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mtnet.cli import local, parsers
from mtnet.errors import ClientError

if TYPE_CHECKING:
    from mtnet.daemon.datadir import DataFolder


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `mtnet backup`."""
    parsers.set_run(parser, backup, "/var/backups/mtnet/monday")
    parser.description = (
        "Copies everything that the daemon stores into a new folder: signals, ticks, templates, "
        "accounts, bans, and the files of other components. The daemon may run meanwhile. The "
        "configuration and the keys in tls/ are not copied."
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a new or an empty folder")
    parsers.add_data(parser)


def configure_restore(parser: ArgumentParser) -> None:
    """Add the arguments of `mtnet restore`."""
    parsers.set_run(parser, restore, "/var/backups/mtnet/monday")
    parser.description = (
        "Puts a backup back, after every file of it was verified; the daemon must be stopped. "
        "Every channel gets a new epoch: followers notice it, and hold their positions until a "
        "person accepts the new history."
    )
    parser.add_argument(
        "source",
        metavar="FOLDER|FILE",
        type=Path,
        help="what `mtnet backup` made, or `mtnet signals backup`, which holds the journal alone",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace what is there; the replaced files are kept in DATA/replaced-TIME",
    )
    parsers.add_data(parser)


def backup(arguments: Namespace) -> None:
    """
    Back up the data folder, by its daemon or without one.

    Raises:
        ClientError: there is no data folder, or the daemon refuses.
        ConfigError: the configuration is wrong.
        StartError: the folder cannot be used.
        JournalError: there is no backup: a file is damaged, or the disk is full or failed.
    """
    from mtnet.daemon.backup.manifest import NAME

    folder, target = local.folder(arguments), arguments.folder
    if not (folder / "lock").exists():
        raise ClientError(
            f"Invalid data folder {folder}: name one in which a daemon has run. "
            "Example: --data /var/lib/mtnet"
        )
    with local.admin_session(folder, partial(_offline, arguments), wait=None) as run:
        made = run("backup", folder=str(target.absolute()))
    if not (target / NAME).exists():
        raise ClientError(
            f"The daemon sees another {target} than you do, and has put the backup there: its /tmp "
            "may be its own. Name another folder. Example: /var/backups/mtnet/monday"
        )
    names = ", ".join(made["components"])
    print(f"{target}: {made['files']} files, {made['bytes']} bytes ({names}).", flush=True)


@contextmanager
def _offline(arguments: Namespace, folder: "DataFolder") -> Iterator[local.RunCommand]:
    from mtnet.coroutines import result_of
    from mtnet.daemon.backup.offline import offline_backup
    from mtnet.daemon.configuration import load

    config = load(arguments.config, os.environ, data=arguments.data)
    folder.check_restored()
    commands = offline_backup(config, folder).commands()
    yield lambda command, **asked: result_of(commands[command](asked))


def restore(arguments: Namespace) -> None:
    """
    Put a backup back.

    Raises:
        StartError: the daemon runs.
        JournalError: the backup is damaged, or there is something already.
    """
    from mtnet.daemon.datadir import DataFolder

    folder = DataFolder(str(local.folder(arguments)))
    try:
        for sentence in _restore(arguments.source, folder, arguments.force):
            print(sentence, flush=True)
    finally:
        folder.release()


def _restore(source: Path, folder: "DataFolder", force: bool) -> Iterator[str]:
    from mtnet.clock import system_time
    from mtnet.daemon.backup.restore import restore as restore_folder
    from mtnet.daemon.registry import installed
    from mtnet.interfaces import IRestore

    plugins = [plugin for plugin in installed().values() if IRestore.providedBy(plugin)]
    if not source.is_dir():
        plugins = [plugin for plugin in plugins if plugin.files]
    replaced = restore_folder(source, folder, plugins, system_time(), force)
    yield f"{folder.path} is restored from {source}; every channel has a new epoch."
    if replaced is not None:
        yield f"Replaced files are kept in {replaced}."
