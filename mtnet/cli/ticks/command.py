"""`mtnet ticks`: values live, and read from and written into the data folder."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from mtnet.cli import local, parsers, server_options
from mtnet.errors import WireError

if TYPE_CHECKING:
    from mtnet.cli.parsers import Commands

SERVER = "tcp:127.0.0.1:8082"
"""The daemon's default endpoint."""
HOUR = 3_600_000
"""Milliseconds."""
FORMATS = ("arrow", "csv", "jsonl", "mt5", "parquet")
"""Of `mtnet ticks export` and `bars`; `mtnet.services.ticks.export` writes them."""


# Command line


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet ticks`."""
    parser.description = "Sends and receives ticks, and reads and fills the store."
    ticks = parsers.group(parser)
    summary = "print ticks as they arrive, until Ctrl-C"
    tail = server_options.add(
        ticks, "tail", "mtnet.cli.ticks.tail:tail_ticks", SERVER, summary, "EURUSD GBPUSD"
    )
    tail.add_argument("symbols", metavar="SYMBOL", nargs="*", help="default: all of them")
    tail.add_argument(
        "--seconds", metavar="N", type=server_options.seconds, help="stop after this many seconds"
    )
    _configure_send(ticks)
    _configure_export(ticks)
    _configure_bars(ticks)
    _configure_import(ticks)
    _configure_days(ticks)
    parsers.add_json(
        local.add(ticks, "symbols", _stored("list_symbols"), "list the stored symbols")
    )
    _configure_report(ticks)


def _configure_report(commands: "Commands") -> None:
    summary = "show what each source sent, and which ticks are missing"
    parser = local.add(commands, "report", _report, summary, "EURUSD --from 2019-02-04")
    text = "show silences while these were traded, and suspicious ticks; '*' = of all"
    parser.add_argument("symbols", metavar="SYMBOL", nargs="*", help=text)
    _configure_span(parser)
    parsers.add_json(parser)


def _configure_send(commands: "Commands") -> None:
    summary = "send ticks, one SYMBOL BID [ASK ...] a line, until the server has stored them all"
    work, example = "mtnet.cli.ticks.send:send_ticks", "--source desk-1 ticks.txt"
    parser = server_options.add(commands, "send", work, SERVER, summary, example)
    parser.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="default: standard input"
    )
    parser.add_argument(
        "--source", metavar="NAME", help="name of the sender (default: this machine)"
    )


def _configure_export(commands: "Commands") -> None:
    summary, example = (
        "write the ticks of symbols, in order",
        "EURUSD --from 2019.02.04 -o EURUSD.csv",
    )
    work = parsers.later("mtnet.cli.ticks.export:export")
    parser = local.add(commands, "export", work, summary, example)
    parser.add_argument("symbols", metavar="SYMBOL", nargs="+", help="'*' = all of them")
    parser.add_argument(
        "--format", choices=FORMATS, default="mt5", help="default: as MetaTrader 5 exports"
    )
    _configure_output(parser)
    parser.add_argument("--order", action="store_true", help="csv, jsonl: add the order time")


def _configure_bars(commands: "Commands") -> None:
    summary, example = "write the bars of symbols", "EURUSD --period M5 --from 2019.02.04"
    work = parsers.later("mtnet.cli.ticks.bars:export_bars")
    parser = local.add(commands, "bars", work, summary, example)
    parser.add_argument("symbols", metavar="SYMBOL", nargs="+", help="'*' = all of them")
    parser.add_argument(
        "--period", metavar="P", type=_period, default="M1", help="S1 to MN1 (default: M1)"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="csv", help="default: csv; mt5: as its charts export"
    )
    _configure_output(parser)


def _configure_output(parser: ArgumentParser) -> None:
    """Add the span of an export, its columns and its file."""
    _configure_span(parser)
    parser.add_argument("--limit", metavar="N", type=_count, help="the first N of them")
    clock = (
        "csv, jsonl: add UTC, by the broker's clock: UTC+2, NY+7, Europe/Athens, measured "
        "(default: as ticks.clock says)"
    )
    parser.add_argument("--utc", metavar="CLOCK", nargs="?", const="configured", help=clock)
    parser.add_argument("--iso", action="store_true", help="csv, jsonl: times as ISO 8601")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="the file to write")


def _configure_span(parser: ArgumentParser) -> None:
    moment = "a day such as 2019-02-04, optionally with ' 12:30:00.000', or milliseconds"
    parser.add_argument("--from", dest="start", metavar="T", type=_moment, help=moment)
    parser.add_argument("--to", dest="stop", metavar="T", type=_moment, help="up to, not with")


def _configure_import(commands: "Commands") -> None:
    summary = "store the ticks of a file that MetaTrader 5 exported, each once"
    parser = local.add(
        commands, "import", _stored("import_ticks"), summary, "EURUSD.csv --symbol EURUSD"
    )
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="plain, gzip, or the only file in a zip archive"
    )
    parser.add_argument("--symbol", metavar="SYMBOL", required=True)
    parser.add_argument(
        "--shift-hours",
        dest="shift",
        metavar="N",
        type=_shift,
        default=0,
        help="hours to add to each time, for example -2 or 5.5",
    )
    text = "sort rows that go back in time, which are refused otherwise"
    parser.add_argument("--sort", action="store_true", help=text)


def _configure_days(commands: "Commands") -> None:
    summary = "write closed days into Parquet files, which needs DuckDB"
    compact = local.add(commands, "compact", _days("compact"), summary, "--before 2026-11-27")
    text = "the first day that stays in SQLite (default: by ticks.compact)"
    compact.add_argument("--before", metavar="DATE", help=text)
    summary = "delete the days that ticks.retain keeps no longer"
    local.add(commands, "prune", _days("prune"), summary)
    summary, example = "delete the ticks of a symbol", "EURUSD --to 2020-01-01 --yes"
    delete = local.add(commands, "delete", _days("delete"), summary, example)
    delete.add_argument("symbol", metavar="SYMBOL")
    delete.add_argument("--from", dest="start", metavar="DATE", help="the first day to delete")
    delete.add_argument("--to", dest="stop", metavar="DATE", help="the first day to keep again")
    delete.add_argument("--yes", action="store_true", help="do it: nothing brings them back")


def _report(arguments: Namespace) -> None:
    """Report on senders, or on the ticks of symbols."""
    module = "quality" if arguments.symbols else "stored"
    parsers.later(f"mtnet.cli.ticks.{module}:report")(arguments)


def _days(function: str) -> parsers.Run:
    """Return a command on closed days."""
    return parsers.later(f"mtnet.cli.ticks.days:{function}")


def _stored(function: str) -> parsers.Run:
    """Return a command that works on the stored ticks."""
    return parsers.later(f"mtnet.cli.ticks.stored:{function}")


def _moment(text: str) -> int:
    """Read a moment as milliseconds."""
    from mtnet.services.ticks.export.moments import read_moment

    try:
        return read_moment(text)
    except WireError as error:
        raise ArgumentTypeError(str(error)) from None


def _period(text: str) -> str:
    """Read the name of a period."""
    from mtnet.services.ticks.bars.periods import PERIODS

    if text not in PERIODS:
        raise ArgumentTypeError(f"invalid period {text}, expected one of {', '.join(PERIODS)}")
    return text


def _count(text: str) -> int:
    """Read a number of ticks."""
    if not (text.isascii() and text.isdigit()) or not int(text):
        raise ArgumentTypeError(f"invalid number {text}, expected one such as 1000")
    return int(text)


def _shift(text: str) -> int:
    """Read hours as milliseconds."""
    try:
        hours = float(text)
    except ValueError:
        hours = inf
    if not abs(hours) <= 24 * 366:
        raise ArgumentTypeError(
            f"invalid number of hours {text}, expected at most a year, such as -2 or 5.5"
        )
    return round(hours * HOUR)
