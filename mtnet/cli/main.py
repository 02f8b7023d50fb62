"""`mtnet`, the command line: a table of commands, each in a module that is imported when used.

The commands of services come from their plugins, those of other packages included.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import Any, NoReturn

from mtnet import __version__
from mtnet.cli.declared import Command, service_commands
from mtnet.cli.parsers import sentence
from mtnet.errors import MtnetError

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of SIGINT."""


COMMANDS = {
    "run": Command("run the daemon in the foreground", "mtnet.cli.run"),
    "check": Command("check the configuration and start nothing", "mtnet.cli.run"),
    "demo": Command(
        "show everything at once on this machine, with made-up ticks", "mtnet.cli.demo.command"
    ),
    "status": Command("report on the running daemon", "mtnet.cli.status"),
    "events": Command("print what happened, and what happens", "mtnet.cli.events"),
    "account": Command(
        "manage accounts: who may log in, by which secrets, and with which rights",
        "mtnet.cli.accounts",
    ),
    "context": Command("keep servers by name, with CA and login", "mtnet.cli.context.command"),
    "views": Command("make channels for one follower each", "mtnet.cli.signals.views"),
    "bans": Command("list, add and lift bans", "mtnet.cli.bans"),
    "backup": Command(
        "copy everything that the daemon stores into a new folder; it may run meanwhile",
        "mtnet.cli.backup",
    ),
    "restore": Command(
        "put a backup back, while the daemon is stopped",
        "mtnet.cli.backup:configure_restore",
    ),
    "cert": Command("make, show and check certificates", "mtnet.cli.cert.command"),
    "mql5": Command("give out the experts for MetaTrader 5", "mtnet.cli.mql5"),
    "doctor": Command(
        "find out what is wrong between this machine and a server", "mtnet.cli.doctor.command"
    ),
}
"""The commands that belong to no service; a service's plugin names its own."""
TWISTD = ("run", "check")
"""Commands whose arguments are read by twistd."""


class Parser(argparse.ArgumentParser):
    """An argument parser that reports an error in one sentence, which names the help for it."""

    def parse_known_args(self, *args: Any, **options: Any) -> Any:
        """Parse, and let the command that has no such argument say so."""
        found, unknown = super().parse_known_args(*args, **options)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"mtnet: {message}; see `{self.prog} --help`.\n")


def parser(used: str | None = None) -> Parser:
    """
    Return the parser of everything but the arguments that twistd reads.

    Args:
        used: the only command whose module is imported, or `--version`; None = all of them.
    """
    own = used in (*COMMANDS, "--version")
    commands = COMMANDS if own else {**service_commands(used), **COMMANDS}
    top = Parser(
        prog="mtnet",
        description="Templates, signals and ticks for MetaTrader terminals.",
        epilog="Example: mtnet run --listen signals=tcp:8081:interface=127.0.0.1",
    )
    top.add_argument("--version", action="version", version=f"mtnet {__version__}")
    group = top.add_subparsers(metavar="COMMAND", required=True)
    for name, (summary, module) in commands.items():
        inner = group.add_parser(name, help=summary, description=sentence(summary))
        if name not in TWISTD and used in (None, name):
            function = module if ":" in module else f"{module}:configure"
            resolve_name(function)(inner)
    return top


def main(argv: list[str] | None = None) -> None:
    """
    Run the command line `argv`, which lacks the program's name.

    Raises:
        SystemExit: it failed, with one sentence for stderr and status 1, or with status 2
            where the command line cannot be read.
    """
    arguments = sys.argv[1:] if argv is None else argv
    name = arguments[0] if arguments else ""
    with _sentences():
        if name in TWISTD:
            resolve_name(f"mtnet.cli.run:{name}")(arguments[1:])
        else:
            used = next((each for each in arguments if not each.startswith("-")), name)
            parsed = parser(used=used).parse_args(arguments)
            parsed.run(parsed)


@contextmanager
def _sentences() -> Iterator[None]:
    """Turn an exception into an exit status, and into a sentence where it has one."""
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
    """Send stdout nowhere: its reader is gone, and flushing it would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
