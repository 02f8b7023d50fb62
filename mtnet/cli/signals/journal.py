"""The commands of `mtnet signals` that read the journal itself."""

import csv
import sys
from argparse import Namespace
from collections.abc import Mapping

import msgspec

from mtnet.cli import local
from mtnet.cli.output import print_json, progress_bar
from mtnet.services.signals.journal import maintenance
from mtnet.services.signals.journal.export import export, prove_entries

CSV = (
    "channel", "seq", "time", "symbol", "ticket", "type", "volume", "id", "price", "sl", "tp",
    "magic", "comment", "ptime",
)  # fmt: skip
TEXT_COLUMNS = ("symbol", "ticket", "id", "comment")
"""Columns with text from clients; the others are numbers and checked names."""
FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet computes a cell that begins so."""


def export_entries(arguments: Namespace) -> None:
    """
    Print entries.

    Raises:
        ClientError: the channel does not exist.
        JournalError: the journal is damaged.
    """
    if arguments.format == "chain":
        _print_chain(arguments)
        return
    rows = csv.writer(sys.stdout, lineterminator="\n")
    if arguments.format == "csv":
        rows.writerow(CSV)
    for entry in export(local.folder(arguments) / "signals.sqlite", arguments.channel):
        values: dict[str, object] = {
            "channel": entry.channel,
            "seq": entry.seq,
            "time": entry.when,
            "symbol": entry.symbol,
            "ticket": entry.ticket,
            "type": entry.type,
            "volume": f"{entry.volume:f}",
            "id": entry.id,
            **dict(entry.fields),
        }
        if arguments.format == "csv":
            shown = escape_formulas(values) if arguments.spreadsheet else values
            rows.writerow([shown.get(key, "") for key in CSV])
        else:
            print(msgspec.json.encode(values).decode())
    sys.stdout.flush()


def _print_chain(arguments: Namespace) -> None:
    """Print the hash before the first entry, then each line with its hash, of each channel."""
    channel = ""
    for each in prove_entries(local.folder(arguments) / "signals.sqlite", arguments.channel):
        if each.entry.channel != channel:
            channel = each.entry.channel
            print_json({"hash": each.before.hex(), "line": ""})
        print_json({"hash": each.hash.hex(), "line": each.line.decode()})


def escape_formulas(values: Mapping[str, object]) -> dict[str, object]:
    """Put ' before texts that a spreadsheet would compute; other programs see the change."""
    return {
        key: f"'{text}" if key in TEXT_COLUMNS and str(text).startswith(FORMULA_PREFIXES) else text
        for key, text in values.items()
    }


def verify(arguments: Namespace) -> None:
    """
    Check the journal.

    Raises:
        JournalError: there is none.
        SystemExit: something is wrong.
    """
    path, wrong, done = local.folder(arguments) / "signals.sqlite", 0, 0
    with progress_bar(" rows") as bar:
        for progress in maintenance.verify(path, arguments.channel):
            bar.total = progress.total
            bar.update(progress.done - done)
            done = progress.done
            for finding in progress.findings:
                wrong += 1
                print(finding, flush=True)
    if wrong:
        raise SystemExit(1)
    print(f"{path} is whole: {done} rows.", flush=True)


def backup(arguments: Namespace) -> None:
    """
    Copy the journal, as it is at one moment, into a new file.

    Raises:
        JournalError: it is damaged, or the file exists already.
    """
    maintenance.backup(local.folder(arguments) / "signals.sqlite", arguments.file)
    print(f"{arguments.file}: {arguments.file.stat().st_size} bytes.", flush=True)
