"""`mtnet backup` and `mtnet restore`: the journal of signals, as a file that proves itself."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mtnet.cli import local
from mtnet.daemon.datadir import DataFolder
from mtnet.services.signals.journal import maintenance

if TYPE_CHECKING:
    from mtnet.cli.remote import Commands


def register(commands: "Commands") -> None:
    """Add both."""
    parser: ArgumentParser = commands.add_parser(
        "backup",
        help="copy the journal of signals into a new file, while the daemon runs",
        description="Copies the journal of signals, as it is at one moment, into a new file.",
        epilog="Example: mtnet backup signals-monday.backup",
    )
    parser.add_argument("file", metavar="FILE", type=Path)
    local.add_data(parser)
    parser.set_defaults(do=backup)
    parser = commands.add_parser(
        "restore",
        help="make the journal of signals from a backup; the daemon is stopped before",
        description="Makes the journal of signals from a backup. Every channel gets a new epoch, "
        "so that followers notice, and hold their positions until told otherwise.",
        epilog="Example: mtnet restore signals-monday.backup",
    )
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("--force", action="store_true", help="replace a journal that holds signals")
    local.add_data(parser)
    parser.set_defaults(do=restore)


def backup(arguments: Namespace) -> None:
    """
    Copy the journal.

    Raises:
        JournalError: it is damaged, or the file is there already.
    """
    maintenance.backup(local.folder(arguments) / "signals.sqlite", arguments.file)
    print(f"{arguments.file}: {arguments.file.stat().st_size} bytes.", flush=True)


def restore(arguments: Namespace) -> None:
    """
    Make the journal anew.

    Raises:
        StartError: the daemon runs.
        JournalError: the backup is damaged, or there are signals already.
    """
    folder = DataFolder(str(local.folder(arguments)))
    try:
        maintenance.restore(arguments.file, folder.signals, overwrite=arguments.force)
    finally:
        folder.release()
    print(f"{folder.signals} is restored; every channel has a new epoch.", flush=True)
