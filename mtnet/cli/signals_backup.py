"""`mtnet backup` and `mtnet restore`: the journal of signals in one file that can be verified."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mtnet.cli import local, parsers
from mtnet.daemon.datadir import DataFolder
from mtnet.services.signals.journal import maintenance


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `mtnet backup`."""
    parsers.set_run(parser, backup, "signals-monday.backup")
    parser.add_argument("file", metavar="FILE", type=Path)
    parsers.add_data(parser)


def configure_restore(parser: ArgumentParser) -> None:
    """Add the arguments of `mtnet restore`."""
    parsers.set_run(parser, restore, "signals-monday.backup")
    parser.description = (
        "Makes the journal of signals from a backup. Every channel gets a new epoch: followers "
        "notice it, and hold their positions until a person accepts the new history."
    )
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("--force", action="store_true", help="replace a journal that holds signals")
    parsers.add_data(parser)


def backup(arguments: Namespace) -> None:
    """
    Copy the journal, as it is at one moment, into a new file.

    Raises:
        JournalError: it is damaged, or the file exists already.
    """
    maintenance.backup(local.folder(arguments) / "signals.sqlite", arguments.file)
    print(f"{arguments.file}: {arguments.file.stat().st_size} bytes.", flush=True)


def restore(arguments: Namespace) -> None:
    """
    Replace the journal by a backup.

    Raises:
        StartError: the daemon runs.
        JournalError: the backup is damaged, or the journal holds signals already.
    """
    folder = DataFolder(str(local.folder(arguments)))
    journal = folder.path / "signals.sqlite"
    try:
        maintenance.restore(arguments.file, journal, overwrite=arguments.force)
    finally:
        folder.release()
    print(f"{journal} is restored; every channel has a new epoch.", flush=True)
