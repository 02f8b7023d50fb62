"""`mtnet bans`: who is kept out, looked at and changed by hand."""

import math
import os
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mtnet.access.bans.commands import COMMANDS
from mtnet.access.bans.policy import Bans
from mtnet.access.bans.store import BanStore
from mtnet.cli import local
from mtnet.clock import DAY
from mtnet.config.loader import load
from mtnet.config.schema import Bans as Settings
from mtnet.daemon.control import ask
from mtnet.daemon.datadir import DataFolder
from mtnet.errors import ClientError, StartError

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    Commands = _SubParsersAction[ArgumentParser]

ABOUT = "see and change who is kept out"
WHAT = "a network, or LOGIN@NETWORK, as `mtnet bans list` names it"
NOBODY = "Nobody is banned, nor has a penalty."


# What the command line says


def register(commands: "Commands") -> None:
    """Add `mtnet bans`."""
    group = commands.add_parser("bans", help=ABOUT, description=f"{ABOUT.capitalize()}.")
    bans = group.add_subparsers(metavar="COMMAND", required=True)
    told = "list who is kept out, and who has a penalty that is remembered"
    local.add(bans, "list", list_bans, told, "--json").add_argument(
        "--json", action="store_true", help="print JSON"
    )
    told = "let a network in again, or a login from one"
    lift = local.add(bans, "lift", lift_ban, told, "192.0.2.7")
    lift.add_argument("what", metavar="WHAT", help=WHAT)
    _add_parser(bans)


def _add_parser(commands: "Commands") -> None:
    told = "keep an address or a network out"
    parser = local.add(commands, "add", add_ban, told, "192.0.2.0/24 --seconds 3600")
    parser.add_argument("network", metavar="NETWORK", help="such as 192.0.2.7 or 2001:db8::/32")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds", metavar="N", type=float, default=DAY, help="default: for a day"
    )
    length.add_argument(
        "--for-ever", dest="seconds", action="store_const", const=None, help="until it is lifted"
    )


# What is done


def list_bans(arguments: Namespace) -> None:
    """
    Print who has penalties.

    Raises:
        ConfigError, ClientError, JournalError: as all of these commands.
    """
    answer = _run(arguments, "bans list")
    if arguments.json:
        print(msgspec.json.encode(answer).decode(), flush=True)
    else:
        print("\n".join(describe(answer)), flush=True)


def add_ban(arguments: Namespace) -> None:
    """
    Ban a network.

    Raises:
        WireError: it is none, or the seconds are none.
    """
    _run(arguments, "bans add", network=arguments.network, seconds=arguments.seconds)
    length = "ever" if arguments.seconds is None else local.duration(arguments.seconds)
    print(f"{arguments.network} is kept out for {length}.", flush=True)


def lift_ban(arguments: Namespace) -> None:
    """
    Let somebody in again.

    Raises:
        ClientError: there was nothing to lift.
    """
    if not _run(arguments, "bans lift", what=arguments.what):
        raise ClientError(f"{arguments.what} has no penalty; `mtnet bans list` names all that do.")
    print(f"{arguments.what} has no penalty any more.", flush=True)


def describe(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that tell the answer to `bans list` to a person."""
    rows = [_shown(row) for row in answer["rows"]]
    yield from local.table(rows) if rows else [NOBODY]
    if answer["more"]:
        yield f"… and {answer['more']} more."


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "network": row["network"],
        "login": row["login"] or "-",
        "kept out": _left(row["seconds"]),
        "bad logins": row["bad"],
        "why": row["why"],
    }


def _left(seconds: float | None) -> str:
    if seconds is None:
        return "for ever"
    return local.duration(math.ceil(seconds)) if seconds else "-"


def _run(arguments: Namespace, command: str, **asked: object) -> Any:
    """Let the daemon do it that runs on the data folder; without one, do it to its file."""
    config = load(arguments.config, os.environ, data=arguments.data)
    folder = Path(config.data)
    try:
        with local.admin_session(folder, partial(_offline, config.access.bans)) as run:
            return run(command, **asked)
    except StartError:
        # Either a daemon has the folder, or nobody can: then the socket says so too.
        return ask(folder / "control", command, **asked)


@contextmanager
def _offline(settings: Settings, folder: DataFolder) -> Iterator[local.RunCommand]:
    with closing(BanStore(folder.bans)) as records:
        yield partial(_run_command, records, settings)


def _run_command(records: BanStore, settings: Settings, command: str, **asked: object) -> Any:
    bans, when, wall = Bans(settings), time.monotonic(), time.time()
    bans.load(records.load(), when, wall)
    result = COMMANDS[command](bans, asked, when)
    if changes := bans.changes(when, wall, steady=False):
        records.store(changes)
    return result
