"""`mtnet account`: who may log in, by what, and what they may do."""

import re
import sys
import time
import warnings
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from getpass import GetPassWarning, getpass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.python.failure import Failure

from mtnet.access.accounts.commands import AccountCommands
from mtnet.access.accounts.model import Accounts, check_label, check_name, parse_grant
from mtnet.access.accounts.passwords import LONGEST, check_password, hash_password
from mtnet.access.accounts.store import AccountStore
from mtnet.access.rights import ROLES, VERBS, parse_right
from mtnet.cli import local
from mtnet.clock import WallClock, system_time
from mtnet.daemon.datadir import DataFolder
from mtnet.errors import AccountError
from mtnet.values import Json

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    Commands = _SubParsersAction[ArgumentParser]


# What the command line says


def register(commands: "Commands") -> None:
    """Add `mtnet account`."""
    told = "say who may log in, by what, and what they may do"
    parser: ArgumentParser = commands.add_parser("account", help=told)
    parser.description = f"{told[0].upper()}{told[1:]}."
    group: Commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_parser(group)
    _list_parsers(group)
    told = "give an account another password; who is logged in by the old one is logged out"
    _name(local.add(group, "passwd", passwd, told, "alice"))
    _token_parser(group)
    for name, told in (
        ("disable", "let an account log in no more until it is enabled"),
        ("enable", "let a disabled account log in again"),
        ("remove", "forget an account, its tokens and its logins"),
    ):
        _name(local.add(group, name, partial(_do, name), told, "alice"))
    for name, told in (
        ("grant", "let an account do more, or recognize it by a certificate"),
        ("revoke", "take back what was granted"),
    ):
        parser = local.add(group, name, partial(_do, name), told, "alice publish:signals/gold")
        _name(parser)
        parser.add_argument(
            "grants",
            metavar="GRANT",
            nargs="+",
            type=parse_grant,
            help="a role, a right or certificate:dns:NAME",
        )


def _name(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", type=check_name)


def _id(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{8}", text):
        raise ArgumentTypeError(f"{text!a} is no id of a token, such as 1a2b3c4d")
    return text


def _json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON; times are ms since 1970")


def _grants(parser: ArgumentParser, told: str) -> None:
    parser.add_argument(
        "--grant", metavar="RIGHT", action="append", type=parse_grant, dest="grants", help=told
    )


def _add_parser(group: "Commands") -> None:
    told = "make an account; its password comes from a prompt or one line of standard input"
    parser = local.add(group, "add", add, told, "alice --role follower")
    _name(parser)
    parser.add_argument(
        "--role",
        choices=ROLES,
        action="append",
        default=[],
        dest="roles",
        help=f"one of {', '.join(ROLES)}",
        metavar="ROLE",
    )
    _grants(parser, "a right, such as follow:signals/gold, or certificate:dns:NAME")
    parser.add_argument(
        "--no-password", action="store_true", help="only tokens and certificates let it in"
    )


def _list_parsers(group: "Commands") -> None:
    _json(local.add(group, "list", list_accounts, "list the accounts", ""))
    told = "say what an account may do, what lets it in, and from where it came"
    parser = local.add(group, "show", show, told, "alice")
    _name(parser)
    _json(parser)


def _token_parser(group: "Commands") -> None:
    told = "print a new secret that a program gives in place of the password, or end one"
    parser = local.add(group, "token", token, told, "alice --label terminal-7 --days 90")
    _name(parser)
    parser.add_argument(
        "--label", metavar="TEXT", default="", type=check_label, help="what it is for"
    )
    _grants(parser, "what it may do (default: always all that the account may)")
    parser.add_argument("--days", metavar="N", type=float, help="until it expires (default: never)")
    parser.add_argument(
        "--withdraw", metavar="ID", type=_id, help="end the token with this id instead"
    )


# Whom it is said to


def admin_session(folder: Path) -> AbstractContextManager[local.RunCommand]:
    """
    Return what does the commands of `mtnet.access.accounts.commands`.

    Raises:
        StartError: as `local.admin_session`.
    """
    return local.admin_session(folder, _offline)


@contextmanager
def _offline(folder: DataFolder) -> Iterator[local.RunCommand]:
    with closing(AccountStore(folder.accounts)) as records:
        account_commands = AccountCommands(
            Accounts(), records, maybeDeferred, WallClock(system_time, time.monotonic), _hash
        )
        yield partial(_run_command, account_commands.commands())


def _run_command(
    commands: Mapping[str, Callable[[Mapping[str, Json]], "Deferred[Json]"]],
    command: str,
    **arguments: Json,
) -> Json:
    results: list[Json] = []
    maybeDeferred(commands[command], arguments).addBoth(results.append)
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def _hash(password: str) -> "Deferred[str]":
    return succeed(hash_password(password))


def _run(arguments: Namespace, command: str, **values: Json) -> Json:
    with admin_session(local.folder(arguments)) as asked:
        return asked(f"account {command}", **values)


# What is done


def add(arguments: Namespace) -> None:
    """
    Make an account.

    Raises:
        AccountError, ClientError: it is refused.
    """
    password = "" if arguments.no_password else read_password()
    grants = [*arguments.roles, *(arguments.grants or [])]
    print(state(_run(arguments, "add", name=arguments.name, grants=grants, password=password)))


def passwd(arguments: Namespace) -> None:
    """
    Give an account another password.

    Raises:
        AccountError, ClientError: it is refused.
    """
    password = read_password()
    print(state(_run(arguments, "passwd", name=arguments.name, password=password)))


def token(arguments: Namespace) -> None:
    """
    Print a new token, or end one.

    Raises:
        AccountError, ClientError: it is refused.
    """
    name, id = arguments.name, arguments.withdraw
    if id is not None:
        _run(arguments, "untoken", name=name, token=id)
        print(f"Token {id} of {name} counts no more.")
        return
    values = {key: getattr(arguments, key) for key in ("name", "label", "grants", "days")}
    made = _run(arguments, "token", **values)
    print(made["secret"], flush=True)
    print(
        f"mtnet: This is token {made['id']} of {name}; nobody can show it again. Programs give it "
        f"in place of the password; `mtnet account token {name} --withdraw {made['id']}` ends it.",
        file=sys.stderr,
    )


def list_accounts(arguments: Namespace) -> None:
    """
    Print a line for each account.

    Raises:
        StartError, ClientError: the data folder, or its daemon, does not tell.
    """
    rows = _run(arguments, "list")
    if arguments.json:
        print(msgspec.json.encode(rows).decode())
    elif rows:
        print("\n".join(local.table([_seen(row) for row in rows])))
    else:
        print("There is no account; `mtnet account add NAME --role follower` would make one.")


def show(arguments: Namespace) -> None:
    """
    Print all about an account but its secrets.

    Raises:
        AccountError, ClientError: there is none.
    """
    found = _run(arguments, "show", name=arguments.name)
    told = msgspec.json.encode(found).decode() if arguments.json else "\n".join(describe(found))
    print(told)


def _do(command: str, arguments: Namespace) -> None:
    values = {"name": arguments.name, "grants": getattr(arguments, "grants", None)}
    row = _run(arguments, command, **values)
    print(state(row) if row else f"{arguments.name} is no account any more.")


def read_password() -> str:
    """
    Return a password from a prompt, or from one line of standard input that is no terminal.

    Raises:
        AccountError: there is none, it can be none, or the two that were typed differ.
    """
    try:
        prompted = sys.stdin.isatty()
        password = _prompted("Password: ") if prompted else _line()
    except (EOFError, GetPassWarning, UnicodeError):
        raise AccountError(
            "There is no password: type it at the prompt, or give it as one line of UTF-8 on "
            "standard input."
        ) from None
    check_password(password)
    if prompted and _prompted("Once more: ") != password:
        raise AccountError("The two passwords differ; nothing was changed.")
    return password


def _prompted(prompt: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error", GetPassWarning)  # it would be shown while it is typed
        return getpass(prompt)


def _line() -> str:
    line = sys.stdin.readline(LONGEST + 2)
    if not line:
        raise EOFError
    return line.rstrip("\r\n")


# How it is told


def state(row: Mapping[str, Json]) -> str:
    """Return the sentence that tells what an account is now."""
    parts = [f"{row['name']} is granted {', '.join(row['grants']) or 'nothing'}"]
    if not row["password"]:
        parts.append("has no password")
    if row["disabled"]:
        parts.append("is disabled")
    return "; it ".join(parts) + "."


def words(right: str) -> str:
    """Return a right as people say it, such as `send ticks of EUR*`."""
    verb, service, name = parse_right(right)
    services = [service] if service else VERBS[verb]
    things = " and ".join(services) or "the daemon"
    return f"{verb} {things}" + (f" of {name}" if name != "*" else "")


def describe(found: Mapping[str, Json]) -> Iterator[str]:
    """Yield the lines that tell a person all about an account."""
    yield f"{found['name']}{' (disabled)' if found['disabled'] else ''}"
    yield f"  granted: {local.show(found['grants'])}"
    yield f"  may: {', '.join(map(words, found['rights'])) or 'nothing'}"
    yield f"  password: {'since ' + moment(found['changed']) if found['password'] else 'none'}"
    yield f"  made: {moment(found['created'])}"
    yield f"  last seen: {moment(found['last'])}"
    yield from _section("tokens", found["tokens"])
    yield from _section("logged in from", found["networks"])


def moment(when: int | None) -> str:
    """Return milliseconds since the Unix epoch as people read them, in UTC; None = `never`."""
    return f"{datetime.fromtimestamp(when / 1000, UTC):%Y-%m-%d %H:%M} UTC" if when else "never"


def _section(title: str, rows: list[dict[str, Json]]) -> Iterator[str]:
    yield f"  {title}:{'' if rows else ' -'}"
    if rows:
        yield from (f"    {line}" for line in local.table([_seen(row) for row in rows]))


def _seen(row: Mapping[str, Json]) -> dict[str, Json]:
    """Return a row with its times as people read them; a token's own grants may be none."""
    times = ("created", "expires", "last")
    told = {key: moment(value) if key in times else value for key, value in row.items()}
    return {**told, "grants": "all"} if row.get("grants", ()) is None else told
