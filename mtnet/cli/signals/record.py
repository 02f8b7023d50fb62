"""`mtnet signals record`: the trades of a channel and their results, with what proves them."""

import csv
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from mtnet.cli import local
from mtnet.cli.output import local_time, print_result, table
from mtnet.errors import ClientError
from mtnet.services.signals.journal.export import prove_entries
from mtnet.services.signals.record.rows import proof_row, trade_row
from mtnet.services.signals.record.summary import Specs, Sums, results
from mtnet.services.signals.record.trades import Trades
from mtnet.services.signals.reports.registry import Reports
from mtnet.services.signals.reports.store import read_reports

COLUMNS = (
    "symbol", "ticket", "side", "volume", "opened", "closed", "opening", "closing", "points",
    "money", "parts", "first", "last",
)  # fmt: skip


def record(arguments: Namespace) -> None:
    """
    Print the track record of a channel, from the journal itself; the daemon may run.

    Raises:
        ClientError: the channel does not exist, or nobody reported as the terminal.
        JournalError: the journal is damaged.
    """
    folder = local.folder(arguments)
    reports = Reports(read_reports(folder / "signals.reports"))
    specs = _specs(reports, arguments.terminal)
    trades, first, last = Trades(), None, None
    for proved in prove_entries(folder / "signals.sqlite", arguments.channel):
        trades.take(proved.entry)
        first, last = first or proved, proved
    if first is None or last is None:
        raise ClientError(f"Nobody has published in {arguments.channel}: there is no record.")
    found = results(trades.closed, trades.digits, specs)
    if arguments.csv:
        rows = csv.writer(sys.stdout, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows([inert(trade_row(each)[name]) for name in COLUMNS] for each in found)
        return
    sums = Sums()
    for each in found:
        sums.add(each)
    shown = {
        **proof_row(arguments.channel, first, last),
        "open": len(trades.open),
        **sums.row(),
        "trades": [trade_row(each) for each in found],
    }
    print_result(arguments, shown, "\n".join(_text(shown)))


def _specs(reports: Reports, terminal: str) -> Specs:
    login, _, name = terminal.partition("/")
    known = [each for each in reports if each.login == login and name in ("", each.name)]
    if terminal and not known:
        raise ClientError(
            f"No terminal has reported as {terminal}. Example: --terminal alice/desk."
        )

    def find(symbol: str) -> Any:
        found = reports.spec(login, name, symbol) if terminal else None
        return None if found is None else found.spec

    return find


def inert(value: Any) -> Any:
    """
    Return the value of a cell; a symbol that a spreadsheet would compute has an apostrophe before.

    `@ES` stays as it is: without a parenthesis, only `=` makes a formula that does something.
    """
    if not isinstance(value, str):
        return value
    formula = value.startswith("=") or (value.startswith(("+", "-", "@")) and "(" in value)
    return f"'{value}" if formula else value


def _text(shown: Mapping[str, Any]) -> Iterator[str]:
    total = shown["total"]
    months = [*shown["months"], {"month": "all", **total}]
    yield from table(months)
    yield (
        "1 position is open, and counts in nothing."
        if shown["open"] == 1
        else f"{shown['open']} positions are open, and count in nothing."
    )
    if total["unknown"]:
        yield (
            f"Trades of which a price is not known: {total['unknown']}. They count in nothing but "
            "the number of trades."
        )
    if total["without_spec"]:
        yield (
            "Trades of which nothing says what a point is worth: "
            f"{total['without_spec']}. --terminal names the terminal whose SPECs do."
        )
    if not shown["complete"]:
        yield f"Entries before {shown['first']} are kept no longer: this is no whole record."
    yield (
        f"Channel {shown['channel']}, epoch {shown['epoch']}, entries {shown['first']} to "
        f"{shown['last']}, {local_time(shown['from'])} to {local_time(shown['to'])}."
    )
    yield f"Proof: hash before {shown['before']}, hash of the last {shown['hash']}."
