"""`mtnet signals`: publishes, follows, and looks after channels and their journal."""

from argparse import SUPPRESS, ArgumentParser, Namespace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtnet.cli import local, parsers, server_options
from mtnet.cli.output import local_time, pairs, print_result, table
from mtnet.cli.signals.status import PAUSED, status
from mtnet.errors import ClientError

if TYPE_CHECKING:
    from mtnet.cli.parsers import Commands

SERVER = "tcp:127.0.0.1:8081"
"""The daemon's default endpoint."""
FIELDS = ("price", "sl", "tp", "magic", "comment")
DONE = {
    "pause": PAUSED["close_only"],
    "freeze": PAUSED["frozen"],
    "resume": "goes on",
    "flatten": "is flat and paused",
}
_SESSIONS, _JOURNAL = "mtnet.cli.signals.sessions", "mtnet.cli.signals.journal"


# Command line


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet signals`."""
    parser.description = "Publishes and follows positions, and looks after the journal of signals."
    signals = parsers.group(parser)
    _configure_publish(signals)
    _configure_follow(signals)
    summary = "list the channels, their positions, publishers and followers"
    parsers.add_json(local.add(signals, "channels", list_channels, summary))
    summary = "show who follows and publishes, what is wrong with each, and what to do"
    parsers.add_json(local.add(signals, "status", status, summary))
    for name, summary in (
        ("pause", "accept only reductions in a channel until it is resumed"),
        ("freeze", "accept nothing in a channel, not even closings, until it is resumed"),
        ("resume", "accept everything in a channel again"),
        ("flatten", "close every position of a channel, then accept only reductions"),
    ):
        _add_channel(local.add(signals, name, partial(_operate, name), summary, "main"))
    summary = "miss a follower or a provider no more that is offline"
    parser = local.add(signals, "forget", forget, summary, "bob/desk")
    parser.add_argument("follower", metavar="LOGIN[/NAME]", help="without NAME: all of the login")
    parser.add_argument("--channel", metavar="NAME", default="", help="default: every channel")
    summary = "show a sentence to the people at all sessions"
    parser = local.add(signals, "notice", notice, summary, "'The server restarts at 22:00 UTC'")
    parser.add_argument("text", metavar="TEXT")
    _configure_export(signals)
    _configure_record(signals)
    summary = "check every row of the journal; the daemon may run meanwhile"
    _add_optional_channel(
        local.add(signals, "verify", parsers.later(f"{_JOURNAL}:verify"), summary)
    )
    _configure_accept(signals)
    summary = "copy the journal alone into a new file; the daemon may run meanwhile"
    parser = local.add(
        signals, "backup", parsers.later(f"{_JOURNAL}:backup"), summary, "signals-monday.backup"
    )
    parser.add_argument("file", metavar="FILE", type=Path)


def _add_channel(parser: ArgumentParser) -> None:
    parser.add_argument("channel", metavar="CHANNEL")


def _add_optional_channel(parser: ArgumentParser) -> None:
    parser.add_argument("channel", metavar="CHANNEL", nargs="?", help="default: all of them")


def _configure_publish(commands: "Commands") -> None:
    summary = "set the position of a symbol and wait until it is stored"
    parser = server_options.add(
        commands, "publish", "mtnet.cli.signals.publish:publish", SERVER, summary, "GBPUSD -0.25"
    )
    parser.add_argument("symbol", metavar="SYMBOL")
    parser.add_argument(
        "volume", metavar="VOLUME", help="lots; negative = sold, 0 = flat, for example -0.25"
    )
    parser.add_argument("--channel", metavar="NAME", default="main")
    parser.add_argument("--ticket", default="", help="one of several positions in the symbol")
    parser.add_argument("--type", default="position", help="position, buy_limit, sell_stop, ...")
    parser.add_argument("--id", default="", help="never applied twice (default: a new one)")
    parser.add_argument(
        "--take", action="store_true", help="take the channel over from its current publisher"
    )
    for name in FIELDS:
        parser.add_argument(f"--{name}", metavar="X")


def _configure_follow(commands: "Commands") -> None:
    summary = "print positions as they change, until Ctrl-C"
    parser = server_options.add(
        commands, "follow", f"{_SESSIONS}:follow_signals", SERVER, summary, "--seconds 60 --json"
    )
    parser.add_argument("--channel", metavar="NAME", default="main")
    parser.add_argument(
        "--seconds", metavar="N", type=server_options.seconds, help="stop after this many seconds"
    )
    parser.add_argument(
        "--classic", action="store_true", help="as a classic client, which acknowledges nothing"
    )
    parser.add_argument("--published", action="store_true", help=SUPPRESS)  # until 1.0


def _configure_export(commands: "Commands") -> None:
    summary = "print every stored entry, each verified"
    parser = local.add(
        commands,
        "export",
        parsers.later(f"{_JOURNAL}:export_entries"),
        summary,
        "main --format csv",
    )
    _add_optional_channel(parser)
    parser.add_argument(
        "--format",
        choices=("csv", "jsonl", "chain"),
        default="csv",
        help="chain: each line of the journal with its hash, for a proof",
    )
    parser.add_argument(
        "--spreadsheet",
        action="store_true",
        help="put ' before texts in CSV that a spreadsheet would compute, such as @ES",
    )


def _configure_record(commands: "Commands") -> None:
    summary = "print the trades of a channel, and their results by month"
    run = parsers.later("mtnet.cli.signals.record:record")
    parser = local.add(commands, "record", run, summary, "gold --csv")
    parser.add_argument("channel", metavar="CHANNEL")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one line of JSON")
    form.add_argument("--csv", action="store_true", help="print a row for each trade")
    parser.add_argument(
        "--terminal",
        metavar="LOGIN[/NAME]",
        default="",
        help="the terminal whose SPECs say what a point is worth in money",
    )


def _configure_accept(commands: "Commands") -> None:
    summary = "continue a channel that is damaged, or whose history went back, as it is"
    parser = local.add(
        commands, "accept", parsers.later("mtnet.cli.signals.accept:accept"), summary, "main"
    )
    _add_channel(parser)
    parser.add_argument(
        "--new-epoch",
        action="store_true",
        help="make every follower hold until a person accepts it there; damage always does",
    )


# Commands for the running daemon


def list_channels(arguments: Namespace) -> None:
    """
    Print the channels.

    Raises:
        ClientError: no daemon answers.
    """
    found = local.ask_daemon(arguments, "status")["signals"]["channels"]
    rows = [{"channel": name, **_flat(row)} for name, row in found.items()]
    print_result(arguments, found, "\n".join(table(rows)))


def _operate(name: str, arguments: Namespace) -> None:
    result = local.ask_daemon(arguments, f"signals {name}", channel=arguments.channel)
    count = f": {result} positions and orders" if isinstance(result, int) else ""
    print(f"{arguments.channel} {DONE[name]}{count}.", flush=True)


def forget(arguments: Namespace) -> None:
    """
    Miss somebody no more who is offline.

    Raises:
        ClientError: no daemon answers, or nobody of that name is offline.
        WireError: it is connected.
    """
    follower, channel = arguments.follower, arguments.channel
    found = local.ask_daemon(arguments, "signals forget", follower=follower, channel=channel)
    if not found:
        where = f" in {channel}" if channel else ""
        raise ClientError(
            f"Nobody called {follower} is offline{where}; `mtnet signals status` names those who "
            "are."
        )
    for row in found:
        print(f"{row['who']} is missed in {row['channel']} no more.", flush=True)


def notice(arguments: Namespace) -> None:
    """
    Send a NOTICE to all sessions.

    Raises:
        ClientError: no daemon answers.
        WireError: the text is empty, or too long.
    """
    count = local.ask_daemon(arguments, "signals notice", text=arguments.text)
    print(f"Sent to {count} session{'s' * (count != 1)}.", flush=True)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "positions": pairs(row["positions"]),
        "since": local_time(row["since"]),
        "paused": row["paused"] or "",
    }
