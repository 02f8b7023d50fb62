"""Options of the commands that talk to a server; what they do is imported when they run."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from mtnet.cli import parsers
from mtnet.cli.context import command as context

if TYPE_CHECKING:
    from mtnet.cli.parsers import Commands

YEAR = 31_536_000.0
"""Seconds; the longest that `follow --seconds` takes."""


def add(
    commands: "Commands", name: str, work: str, server: str, summary: str, example: str = ""
) -> ArgumentParser:
    """
    Add a command that talks to a server; the other arguments as of `parsers.add`.

    Args:
        work: `MODULE:FUNCTION`, imported when the command runs; as `Work` of `mtnet.cli.remote`.
        server: the endpoint it connects to without `--server` and without a context.
    """
    parser = parsers.add(commands, name, partial(_run, work), summary, example)
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


def _run(work: str, arguments: Namespace) -> None:
    from mtnet.cli.remote import run_in_reactor

    run_in_reactor(resolve_name(work), arguments)
