"""`mtnet sentiment`: what clients hold, as sums."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from mtnet.cli import local, parsers, server_options
from mtnet.cli.output import print_result, table, utc_minute

SERVER = "tcp:127.0.0.1:8081"
"""The daemon's default endpoint of sessions."""
MAX_HOURS = 168
"""Hours of one answer: a week."""
NOTHING = "No symbol has enough clients."


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet sentiment`."""
    parser.description = "Prints what clients hold: lots bought and sold, and how many hold any."
    sentiment = parsers.group(parser)
    summary = "print the sums of symbols as they change, until Ctrl-C"
    watch = server_options.add(
        sentiment, "watch", "mtnet.cli.sentiment.sessions:watch", SERVER, summary, "EURUSD GBPUSD"
    )
    watch.add_argument("symbols", metavar="SYMBOL", nargs="*", help="none: all symbols")
    watch.add_argument(
        "--seconds", metavar="N", type=server_options.seconds, help="stop after this many seconds"
    )
    shown = local.add(sentiment, "list", show, "list the sums that the daemon shows")
    parsers.add_json(shown)
    summary = "print the minutes of a symbol, oldest first"
    history = local.add(sentiment, "history", past, summary, "EURUSD --hours 8")
    history.add_argument("symbol", metavar="SYMBOL")
    history.add_argument(
        "--hours", metavar="N", type=_hours, default=24, help=f"1 to {MAX_HOURS}; else 24"
    )
    parsers.add_json(history)


def show(arguments: Namespace) -> None:
    """
    Print the sums.

    Raises:
        ClientError: no daemon runs, or sentiment is off.
    """
    rows = local.ask_daemon(arguments, "sentiment list")
    lines = [{**row, "time": utc_minute(row["time"])} for row in rows]
    print_result(arguments, rows, "\n".join(table(lines)) if rows else NOTHING)


def past(arguments: Namespace) -> None:
    """
    Print minutes.

    Raises:
        ClientError: as `show`.
    """
    asked = {"symbol": arguments.symbol, "hours": arguments.hours}
    rows = local.ask_daemon(arguments, "sentiment history", **asked)
    lines = [{**row, "time": utc_minute(row["time"])} for row in rows]
    nothing = f"Of {arguments.symbol} nothing was shown in the last {arguments.hours} hours."
    print_result(arguments, rows, "\n".join(table(lines)) if rows else nothing)


def _hours(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_HOURS):
        raise ArgumentTypeError(f"{text!r} is no whole number from 1 to {MAX_HOURS}, such as 24")
    return int(text)
