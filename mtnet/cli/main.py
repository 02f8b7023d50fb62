"""`mtnet`, the command line."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from mtnet import __version__
from mtnet.cli import accounts, backup, bans, cert, demo, local, run, signals, templates, ticks
from mtnet.cli.doctor import command
from mtnet.errors import MtnetError

INTERRUPTED = 130
"""The exit status of a program that Ctrl-C ended: 128 and the number of SIGINT."""

_MODULES = (run, demo, local, signals, templates, ticks, accounts, bans, backup, cert, command)


class Parser(argparse.ArgumentParser):
    """An argument parser that says in one sentence what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"mtnet: {message}; see `{self.prog} --help`.\n")


def parser() -> Parser:
    """Return the parser of everything but the arguments that twistd reads."""
    top = Parser(
        prog="mtnet",
        description="Templates, signals and ticks for MetaTrader terminals.",
        epilog="Example: mtnet run --listen signals=tcp:8081:interface=127.0.0.1",
    )
    top.add_argument("--version", action="version", version=f"mtnet {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for module in _MODULES:
        module.register(commands)
    return top


def main(argv: list[str] | None = None) -> None:
    """
    Do what the command line `argv` (without the program's name) says.

    Raises:
        SystemExit: it failed, with one sentence for stderr and status 1, or with status 2
            where the command line cannot be read.
    """
    arguments = sys.argv[1:] if argv is None else argv
    with _sentences():
        if arguments and arguments[0] in run.COMMANDS:
            run.COMMANDS[arguments[0]](arguments[1:])
        else:
            parsed = parser().parse_args(arguments)
            parsed.do(parsed)


@contextmanager
def _sentences() -> Iterator[None]:
    """Turn what ends a command early into an exit status, and a sentence where there is one."""
    try:
        yield
    except MtnetError as error:
        raise SystemExit(f"mtnet: {error}") from error
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        _drop_output()
    except OSError as error:
        _drop_output()
        raise SystemExit(f"mtnet: {error}.") from error


def _drop_output() -> None:
    """Send stdout nowhere: nobody reads it, and Python would fail again when it flushes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
