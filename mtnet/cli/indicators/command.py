"""`mtnet indicators`: values that terminals compute."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mtnet.cli import local, parsers, server_options
from mtnet.cli.output import print_result, table, utc_exact

SERVER = "tcp:127.0.0.1:8081"
"""The daemon's default endpoint of sessions."""
EXAMPLE = "RSI14 EURUSD H1"


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet indicators`."""
    parser.description = "Prints and exports values of indicators, and lists the series."
    indicators = parsers.group(parser)
    summary = "list the series of the daemon: indicator, symbol, period"
    parsers.add_json(local.add(indicators, "list", show, summary))
    summary = "print the values of an indicator, the last ones and then each, until Ctrl-C"
    work = "mtnet.cli.indicators.sessions:tail"
    tail = server_options.add(indicators, "tail", work, SERVER, summary, EXAMPLE)
    _add_series(tail)
    tail.add_argument(
        "--bars", metavar="N", type=int, default=10, help="of the last bars (default: 10)"
    )
    tail.add_argument(
        "--seconds", metavar="N", type=server_options.seconds, help="stop after this many seconds"
    )
    summary = "write the last values of an indicator as CSV or JSON lines"
    work = "mtnet.cli.indicators.sessions:export"
    export = server_options.add(
        indicators, "export", work, SERVER, summary, f"{EXAMPLE} -o rsi.csv"
    )
    _add_series(export)
    export.add_argument(
        "--bars",
        metavar="N",
        type=int,
        default=1_000_000,
        help="of the last bars (default: all that there are)",
    )
    export.add_argument(
        "-f", "--format", choices=("csv", "jsonl"), default="csv", help="(default: csv)"
    )
    export.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="(default: standard output)"
    )


def _add_series(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the indicator, such as RSI14")
    parser.add_argument("symbol", metavar="SYMBOL", help="as its broker writes it")
    parser.add_argument("period", metavar="PERIOD", help="such as H1")


def show(arguments: Namespace) -> None:
    """
    Print the series.

    Raises:
        ClientError: no daemon runs, or indicators are off.
    """
    rows = local.ask_daemon(arguments, "indicators list")
    shown = [
        {**row, **{key: utc_exact(row[key])[:19] for key in ("oldest", "newest", "changed")}}
        for row in rows
    ]
    text = "\n".join(table(shown)) if rows else "There are no values of indicators."
    print_result(arguments, rows, text)
