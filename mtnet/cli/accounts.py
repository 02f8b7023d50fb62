"""`mtnet account`: manages accounts, their secrets and their rights."""

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtnet.cli import local, parsers
from mtnet.cli.declared import permissions
from mtnet.cli.output import print_result, table, utc_minute
from mtnet.cli.output import show as as_text
from mtnet.errors import AccountError

if TYPE_CHECKING:
    from mtnet.cli.parsers import Commands
    from mtnet.daemon.datadir import DataFolder


# Command line


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet account`."""
    group = parsers.group(parser)
    _configure_add(group)
    _configure_show(group)
    _configure_token(group)
    for name, run, summary in (
        ("passwd", passwd, "change the password; connections that logged in with the old one end"),
        ("disable", partial(_change, "disable"), "refuse an account until it is enabled"),
        ("enable", partial(_change, "enable"), "let a disabled account log in again"),
        ("remove", partial(_change, "remove"), "delete an account, its tokens and its logins"),
    ):
        _add_name(local.add(group, name, run, summary, "alice"))
    for name, summary in (
        ("grant", "add rights or roles to an account, or a certificate that it logs in with"),
        ("revoke", "take granted rights, roles or certificates away"),
    ):
        example = "alice publish:signals/gold"
        inner = local.add(group, name, partial(_change, name), summary, example)
        _add_name(inner)
        inner.add_argument(
            "grants",
            metavar="GRANT",
            nargs="+",
            type=_grant if name == "grant" else _held_grant,
            help="a role, a right or certificate:dns:NAME",
        )


def _configure_add(group: "Commands") -> None:
    summary = "create an account; its password comes from a prompt or a line of standard input"
    parser = local.add(group, "add", add, summary, "alice --role follower")
    _add_name(parser)
    roles = permissions().roles
    parser.add_argument(
        "--role",
        choices=roles,
        action="append",
        default=[],
        dest="roles",
        help=f"one of {', '.join(roles)}",
        metavar="ROLE",
    )
    _add_grants(parser, "a right, such as follow:signals/gold, or certificate:dns:NAME")
    parser.add_argument(
        "--view",
        metavar="VIEW",
        help="follow this view, as the channel main, in place of every channel",
    )
    parser.add_argument(
        "--no-password", action="store_true", help="allow login by token and certificate only"
    )


def _configure_show(group: "Commands") -> None:
    parsers.add_json(local.add(group, "list", list_accounts, "list the accounts"))
    summary = "print the rights of an account, its secrets' dates, and where it logged in from"
    parser = local.add(group, "show", show, summary, "alice")
    _add_name(parser)
    parsers.add_json(parser)


def _configure_token(group: "Commands") -> None:
    summary = "print a new secret that a program uses instead of the password, or withdraw one"
    parser = local.add(group, "token", token, summary, "alice --label terminal-7 --days 90")
    _add_name(parser)
    parser.add_argument("--label", metavar="TEXT", default="", type=_label, help="what it is for")
    _add_grants(parser, "what it allows (default: whatever the account may do)")
    parser.add_argument("--days", metavar="N", type=float, help="until it expires (default: never)")
    parser.add_argument(
        "--withdraw", metavar="ID", type=_id, help="withdraw the token with this id"
    )


def _add_name(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", type=_name)


def _add_grants(parser: ArgumentParser, text: str) -> None:
    parser.add_argument(
        "--grant", metavar="RIGHT", action="append", type=_grant, dest="grants", help=text
    )


def _name(text: str) -> str:
    from mtnet.access.accounts.model import check_name

    return check_name(text)


def _label(text: str) -> str:
    from mtnet.access.accounts.model import check_label

    return check_label(text)


def _grant(text: str) -> str:
    from mtnet.access.accounts.model import parse_grant

    return parse_grant(text, permissions())


def _held_grant(text: str) -> str:
    # An account may hold a grant of a service that is not installed any more.
    return text if re.fullmatch("[!-~]+", text) else _grant(text)


def _id(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{8}", text):
        raise ArgumentTypeError(f"invalid token id {text!a}, expected one such as 1a2b3c4d")
    return text


# Who runs the commands


def admin_session(folder: Path) -> AbstractContextManager[local.RunCommand]:
    """
    Return a function that runs the commands of `mtnet.access.accounts.commands`.

    Raises:
        StartError: as `local.admin_session`.
    """
    return local.admin_session(folder, _offline)


def _offline(folder: "DataFolder") -> AbstractContextManager[local.RunCommand]:
    from mtnet.cli.offline.accounts import on_accounts

    return on_accounts(folder)


def _run(arguments: Namespace, command: str, **values: Any) -> Any:
    with admin_session(local.folder(arguments)) as run:
        return run(f"account {command}", **values)


# Commands


def add(arguments: Namespace) -> None:
    """
    Create an account.

    Raises:
        AccountError, ClientError: it is refused.
    """
    view, roles = arguments.view, arguments.roles
    if view is not None:
        from mtnet.cli.signals.views import check_view, give_view

        check_view(arguments, view)
        roles = [f"follow:signals/{view}" if role == FOLLOWER else role for role in roles]
    password = "" if arguments.no_password else read_password()
    grants = [*roles, *(arguments.grants or [])]
    print(state(_run(arguments, "add", name=arguments.name, grants=grants, password=password)))
    if view is not None:
        give_view(arguments, view, arguments.name)


def passwd(arguments: Namespace) -> None:
    """
    Change the password of an account.

    Raises:
        AccountError, ClientError: it is refused.
    """
    password = read_password()
    print(state(_run(arguments, "passwd", name=arguments.name, password=password)))


def token(arguments: Namespace) -> None:
    """
    Print a new token, or withdraw one.

    Raises:
        AccountError, ClientError: it is refused.
    """
    name, id = arguments.name, arguments.withdraw
    if id is not None:
        _run(arguments, "untoken", name=name, token=id)
        print(f"Token {id} of {name} is withdrawn.")
        return
    values = {key: getattr(arguments, key) for key in ("name", "label", "grants", "days")}
    made = _run(arguments, "token", **values)
    print(made["secret"], flush=True)
    print(
        f"mtnet: This is token {made['id']} of {name}; it cannot be shown again. Programs use it "
        f"instead of the password; `mtnet account token {name} --withdraw {made['id']}` ends it.",
        file=sys.stderr,
    )


def list_accounts(arguments: Namespace) -> None:
    """
    Print a line for each account.

    Raises:
        StartError, ClientError: the data folder cannot be used, or its daemon does not answer.
    """
    rows = _run(arguments, "list")
    text = "\n".join(table([_row(row) for row in rows])) if rows else NO_ACCOUNT
    print_result(arguments, rows, text)


FOLLOWER = "follower"
"""The role that a view narrows to itself."""
NO_ACCOUNT = "There is no account. Example: mtnet account add NAME --role follower"


def show(arguments: Namespace) -> None:
    """
    Print everything about an account but its secrets.

    Raises:
        AccountError, ClientError: it does not exist.
    """
    found = _run(arguments, "show", name=arguments.name)
    print_result(arguments, found, "\n".join(describe(found)))


def _change(command: str, arguments: Namespace) -> None:
    values = {"name": arguments.name, "grants": getattr(arguments, "grants", None)}
    row = _run(arguments, command, **values)
    print(state(row) if row else f"The account {arguments.name} is removed.")


def read_password() -> str:
    """
    Return a password from a prompt; without a terminal, from one line of standard input.

    Raises:
        AccountError: it is missing or invalid, or the two that were typed differ.
    """
    from getpass import GetPassWarning

    from mtnet.access.accounts.passwords import LONGEST, check_password

    try:
        prompted = sys.stdin.isatty()
        password = _prompted("Password: ") if prompted else _line(LONGEST)
    except (EOFError, GetPassWarning, UnicodeError):
        raise AccountError(
            "The password is missing: type it at the prompt, or pass it as one line of UTF-8 on "
            "standard input."
        ) from None
    check_password(password)
    if prompted and _prompted("Once more: ") != password:
        raise AccountError("The two passwords differ; nothing was changed.")
    return password


def _prompted(prompt: str) -> str:
    import warnings
    from getpass import GetPassWarning, getpass

    with warnings.catch_warnings():
        warnings.simplefilter("error", GetPassWarning)  # the prompt would echo it
        return getpass(prompt)


def _line(longest: int) -> str:
    line = sys.stdin.readline(longest + 2)
    if not line:
        raise EOFError
    return line.rstrip("\r\n")


# Text


def state(row: Mapping[str, Any]) -> str:
    """Return what an account is now, as a sentence."""
    parts = [f"{row['name']} is granted {', '.join(row['grants']) or 'nothing'}"]
    if not row["password"]:
        parts.append("has no password")
    if row["disabled"]:
        parts.append("is disabled")
    return "; it ".join(parts) + "."


def words(rights: Iterable[str]) -> str:
    """Return rights in words, such as `publish signals and templates, send ticks of EUR*`."""
    services: dict[tuple[str, str], list[str]] = {}
    for right in rights:
        verb, _, things = right.partition(":")
        service, _, name = things.partition("/")
        services.setdefault((verb, name), []).append(service or "everything")
    return ", ".join(
        f"{verb} {' and '.join(found)}" + (f" of {name}" if name else "")
        for (verb, name), found in services.items()
    )


def describe(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield everything about an account as lines of text."""
    yield f"{found['name']}{' (disabled)' if found['disabled'] else ''}"
    yield f"  granted: {as_text(found['grants'])}"
    yield f"  may: {words(found['rights']) or 'nothing'}"
    yield f"  password: {'since ' + utc_minute(found['changed']) if found['password'] else 'none'}"
    yield f"  made: {utc_minute(found['created'])}"
    yield f"  last seen: {utc_minute(found['last'])}"
    yield from _section("tokens", found["tokens"])
    yield from _section("logged in from", found["networks"])


def _section(title: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    yield f"  {title}:{'' if rows else ' -'}"
    if rows:
        yield from (f"    {line}" for line in table([_row(row) for row in rows]))


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with readable times; the grants of a token may be None."""
    times = ("created", "expires", "last")
    shown = {key: utc_minute(value) if key in times else value for key, value in row.items()}
    return {**shown, "grants": "all"} if row.get("grants", ()) is None else shown
