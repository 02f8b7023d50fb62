"""`mtnet`, the command line: a table of commands, each in a module that is imported when used.

The commands of services come from their plugins, those of other packages included.
"""

import argparse
import ast
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple, NoReturn

from mtnet import __version__
from mtnet.cli.parsers import sentence
from mtnet.errors import MtnetError

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of SIGINT."""


class Command(NamedTuple):
    """
    A command that is not imported yet.

    Attributes:
        summary: its line in `mtnet --help`.
        module: the module whose `configure(parser)` adds its arguments, or `MODULE:FUNCTION`.
            A parser calls the function that was set by `parser.set_defaults(run=…)`.
    """

    summary: str
    module: str


COMMANDS = {
    "run": Command("run the daemon in the foreground", "mtnet.cli.run"),
    "check": Command("check the configuration and start nothing", "mtnet.cli.run"),
    "demo": Command(
        "show everything at once on this machine, with made-up ticks", "mtnet.cli.demo"
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
    "cert": Command("make, show and check certificates", "mtnet.cli.cert"),
    "mql5": Command("give out the experts for MetaTrader 5", "mtnet.cli.mql5"),
    "doctor": Command(
        "find out what is wrong between this machine and a server", "mtnet.cli.doctor.command"
    ),
}
"""The commands that belong to no service; a service's plugin names its own."""
PLUGINS = Path(__file__).parent.parent / "plugins"
"""The plugins of mtnet, a file each."""
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


def service_commands(used: str | None = None) -> dict[str, Command]:
    """
    Return the commands that plugins name.

    Plugins are imported only where a package outside has any: those of mtnet say in their source
    what Twisted's plugin search would find.

    Args:
        used: the only one that is needed; None or empty = all.

    Raises:
        ConfigError: two plugins have one name.
    """
    if used and used.isidentifier():
        found = declared_command(PLUGINS / f"{used}.py")
        if found is not None:
            return {used: found}
    elif not any(outside_plugins()):
        own = {file.stem: declared_command(file) for file in sorted(PLUGINS.glob("*.py"))}
        return {name: command for name, command in own.items() if command is not None}
    from mtnet.daemon.registry import installed

    return {
        name: Command(plugin.description, plugin.command)
        for name, plugin in installed().items()
        if plugin.command is not None
    }


def declared_command(file: Path) -> Command | None:
    """Read the command from the file of a plugin, called as the service; None = it has none."""
    try:
        body = ast.parse(file.read_bytes()).body
    except OSError:
        return None
    for each in body:
        said = dict(_constants(each)) if isinstance(each, ast.ClassDef) else {}
        if said.get("name") == file.stem and "command" in said:
            return Command(said["description"], said["command"])
    return None


def _constants(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for each in node.body:
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant):
            for target in each.targets:
                if isinstance(target, ast.Name) and isinstance(each.value.value, str):
                    yield target.id, each.value.value


def outside_plugins() -> Iterator[Path]:
    """Yield the files of plugins that other packages have, where Twisted looks for them."""
    from mtnet.daemon.editable import plugin_folders

    folders = [Path(each or ".", "mtnet", "plugins") for each in sys.path]
    found = [each for each in folders if not (each / "__init__.py").exists()]
    for folder in (*found, *map(Path, plugin_folders("mtnet.plugins", [str(PLUGINS)]))):
        yield from folder.glob("*.py")


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
