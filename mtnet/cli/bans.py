"""`mtnet bans`: lists, adds and lifts bans."""

import math
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

from mtnet.cli import local, parsers
from mtnet.cli.output import duration, print_result, table
from mtnet.daemon.control.client import ask
from mtnet.durations import DAY
from mtnet.errors import ClientError, StartError

if TYPE_CHECKING:
    from mtnet.cli.parsers import Commands
    from mtnet.daemon.datadir import DataFolder

# Command line


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet bans`."""
    bans = parsers.group(parser)
    summary = "list the banned networks, and those with a penalty that still counts"
    parsers.add_json(local.add(bans, "list", list_bans, summary, "--json"))
    lift = local.add(bans, "lift", lift_ban, "lift the ban of a network or a login", "192.0.2.7")
    lift.add_argument(
        "what", metavar="WHAT", help="a network, or LOGIN@NETWORK, as `mtnet bans list` prints it"
    )
    _configure_add(bans)


def _configure_add(commands: "Commands") -> None:
    example = "192.0.2.0/24 --seconds 3600"
    parser = local.add(commands, "add", add_ban, "ban an address or a network", example)
    parser.add_argument("network", metavar="NETWORK", help="such as 192.0.2.7 or 2001:db8::/32")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds", metavar="N", type=float, default=DAY, help="default: for a day"
    )
    length.add_argument(
        "--for-ever", dest="seconds", action="store_const", const=None, help="until it is lifted"
    )


# Commands


def list_bans(arguments: Namespace) -> None:
    """
    Print the penalties.

    Raises:
        ConfigError, ClientError, JournalError: as all of these commands.
    """
    answer = _run(arguments, "bans list")
    print_result(arguments, answer, "\n".join(describe(answer)))


def add_ban(arguments: Namespace) -> None:
    """
    Ban a network.

    Raises:
        WireError: the network or the number of seconds is invalid.
    """
    _run(arguments, "bans add", network=arguments.network, seconds=arguments.seconds)
    length = (
        "until it is lifted" if arguments.seconds is None else f"for {_left(arguments.seconds)}"
    )
    print(f"{arguments.network} is banned {length}.", flush=True)


def lift_ban(arguments: Namespace) -> None:
    """
    Lift a ban.

    Raises:
        ClientError: there was nothing to lift.
    """
    if not _run(arguments, "bans lift", what=arguments.what):
        raise ClientError(f"{arguments.what} has no penalty; `mtnet bans list` prints all that do.")
    print(f"{arguments.what} has no penalty any more.", flush=True)


def describe(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the answer to `bans list` as the lines of a table."""
    rows = [_row(row) for row in answer["rows"]]
    yield from table(rows) if rows else ["No network is banned or has a penalty."]
    if answer["more"]:
        yield f"… and {answer['more']} more."


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "network": row["network"],
        "login": row["login"] or "-",
        "banned": _left(row["seconds"]),
        "bad logins": row["bad"],
        "why": row["why"],
    }


def _left(seconds: float | None) -> str:
    if seconds is None:
        return "until lifted"
    return duration(math.ceil(seconds)) if seconds else "-"


def _run(arguments: Namespace, command: str, **values: Any) -> Any:
    """Let the running daemon do it; without one, do it on the file of bans."""
    folder = local.folder(arguments)
    try:
        with local.admin_session(folder, partial(_offline, arguments)) as run:
            return run(command, **values)
    except StartError:
        # A daemon took the folder meanwhile, or nobody can: then the socket reports why.
        return ask(folder / "control", command, **values)


def _offline(
    arguments: Namespace, folder: "DataFolder"
) -> AbstractContextManager[local.RunCommand]:
    from mtnet.cli.offline.bans import on_bans

    return on_bans(arguments, folder)
