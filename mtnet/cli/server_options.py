"""
Commands that talk to a server: their options, the account of `--login`, and servers that are of
another kind. The work of each is imported when it runs.
"""

import os
import re
import warnings
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from mtnet.cli import parsers
from mtnet.cli.context import command as context
from mtnet.cli.parsers import PASSWORD
from mtnet.errors import ClientError

if TYPE_CHECKING:
    from mtnet.cli.parsers import Commands
    from mtnet.client.core.login import Login

YEAR = 31_536_000.0
"""Seconds; the longest that `follow --seconds` takes."""
TLS = {"tcp": "secure", "ws": "wss"}
"""Kinds of endpoints in clear text, and of those with TLS."""
_IN_CLEAR = re.compile("HTTP status (?!400)")
"""Of a port that answered in clear text. A port with TLS may do so too, by 400 alone."""


def add(
    commands: "Commands", name: str, work: str, server: str, summary: str, example: str = ""
) -> ArgumentParser:
    """
    Add a command that talks to a server; the other arguments as of `parsers.add`.

    Args:
        work: `MODULE:FUNCTION`, imported when the command runs; it is called with the arguments,
            whose `account` is that of `--login`.
        server: the endpoint it connects to without `--server` and without a context.
    """
    parser = parsers.add(commands, name, partial(run, work), summary, example)
    service = parser.prog.split()[-2]
    parser.add_argument(
        "-s",
        "--server",
        metavar="ENDPOINT",
        help="the server's address: a Twisted client string, secure:HOST:PORT for TLS, wss://... "
        f"or, for signals, https://... (default: that of the context, or {server})",
    )
    context.add_option(parser, service, server)
    parsers.add_ca(parser)
    parser.add_argument(
        "--login",
        metavar="NAME",
        help=f"account to log in with; the password comes from a prompt or {parsers.PASSWORD}",
    )
    parsers.add_json(parser)
    return parser


def seconds(text: str) -> float:
    """
    Parse a number of seconds.

    Raises:
        ArgumentTypeError: it is not above 0, or longer than a year.
    """
    number = float(text)
    if not 0 < number <= YEAR:
        raise ArgumentTypeError(f"invalid number of seconds {text}, expected more than 0")
    return number


def run(work: str, arguments: Namespace) -> None:
    """
    Run `work`, as of `add`.

    Raises:
        ClientError: what it raised; there is no such context, or the password is missing.
    """
    context.apply(arguments)
    arguments.account = account(arguments)
    resolve_name(work)(arguments)


def account(arguments: Namespace) -> "Login | None":
    """
    Return the account of `--login`, with a password from the environment or a prompt.

    Raises:
        ClientError: the password is missing or invalid.
    """
    if arguments.login is None:
        return None
    from mtnet.client.core.login import Login

    password = os.environ.get(PASSWORD)
    return Login(arguments.login, _prompted() if password is None else password)


def _prompted() -> str:
    """Ask for the password in a terminal only: elsewhere it would be echoed."""
    from getpass import GetPassWarning, getpass

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", GetPassWarning)
            return getpass()
    except (EOFError, GetPassWarning):
        raise ClientError(
            f"The password is missing: set {PASSWORD}, or run mtnet in a terminal."
        ) from None


def unanswered(server: str, reason: str) -> str:
    """Return the error for a server that accepts connections and does not answer as it should."""
    kind, _, rest = server.partition(":")
    perhaps_tls = kind in TLS and _IN_CLEAR.search(reason) is None
    hint = f" If that port speaks TLS, it is {TLS[kind]}:{rest}." if perhaps_tls else ""
    return f"{server} never answered as it should ({reason}).{hint}"
