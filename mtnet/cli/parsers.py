"""Argparse helpers: every command has a line of help, an example and a function that runs it."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol


class Commands(Protocol):
    """The commands of a parser, as `add_subparsers` returns them."""

    def add_parser(self, name: str, **options: Any) -> ArgumentParser:
        """Add a command."""


Run = Callable[[Namespace], object]
PASSWORD = "MTNET_PASSWORD"
"""The environment variable with the password; every user could read an argument."""


def later(function: str) -> Run:
    """
    Return a function that imports another one when it is called, and calls it.

    Args:
        function: `MODULE:FUNCTION`, which takes the parsed arguments.
    """
    return lambda arguments: resolve_name(function)(arguments)


def group(parser: ArgumentParser) -> Commands:
    """Let a command have commands of its own."""
    return parser.add_subparsers(metavar="COMMAND", required=True)


def add(commands: Commands, name: str, run: Run, summary: str, example: str = "") -> ArgumentParser:
    """
    Add a command.

    Args:
        summary: a line of help without a full stop, which begins in lower case.
        example: arguments behind the command's name.
    """
    parser: ArgumentParser = commands.add_parser(name, help=summary, description=sentence(summary))
    return set_run(parser, run, example)


def set_run(parser: ArgumentParser, run: Run, example: str = "") -> ArgumentParser:
    """Let a parser call `run` with what it parsed."""
    parser.epilog = f"Example: {parser.prog} {example}".rstrip()
    parser.set_defaults(run=run)
    return parser


def add_data(parser: ArgumentParser) -> None:
    """Let a command name the data folder, or the configuration that names it."""
    parser.add_argument("-d", "--data", metavar="DIR", help="the daemon's data folder")
    parser.add_argument(
        "-c", "--config", metavar="FILE", type=Path, help="the daemon's configuration"
    )


def add_ca(parser: ArgumentParser) -> None:
    """Let a command name the authorities that it trusts."""
    parser.add_argument(
        "--ca",
        metavar="FILE",
        type=Path,
        help="trusted authorities (default: those of this machine)",
    )


def add_json(parser: ArgumentParser) -> None:
    """Let a command print JSON."""
    parser.add_argument("--json", action="store_true", help="print JSON; times are ms since 1970")


def sentence(summary: str) -> str:
    """Return a line of help as a sentence."""
    return f"{summary[0].upper()}{summary[1:]}."
