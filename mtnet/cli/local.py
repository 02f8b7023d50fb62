"""`mtnet status`, and what all commands share that are about a data folder or its daemon."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mtnet.config.loader import load
from mtnet.daemon.control import answers, ask
from mtnet.daemon.datadir import DataFolder

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction

    Commands = _SubParsersAction[ArgumentParser]

RunCommand = Callable[..., Any]
"""Does a command that is named as on the control socket; raises a MtnetError when it is refused."""

HEAD = ("version", "pid", "since", "healthy", "trouble", "warnings")
"""The keys of a status that its first line says."""
UNHEALTHY = 3
"""Exit status of `mtnet status` when somebody must act."""


def register(commands: "Commands") -> None:
    """Add `mtnet status`."""
    status_parser = commands.add_parser(
        "status",
        help="say how the running daemon does",
        description="Asks the daemon that runs on a data folder how it does.",
        epilog="Example: mtnet status --data /var/lib/mtnet",
    )
    add_data(status_parser)
    status_parser.add_argument("--json", action="store_true", help="print JSON")
    status_parser.set_defaults(do=status)


def add_data(parser: "ArgumentParser") -> None:
    """Let a command name the data folder, or the configuration that names it."""
    parser.add_argument("-d", "--data", metavar="DIR", help="the daemon's data folder")
    parser.add_argument(
        "-c", "--config", metavar="FILE", type=Path, help="the daemon's configuration"
    )


def add(
    commands: "Commands", name: str, do: Callable[["Namespace"], None], told: str, example: str
) -> "ArgumentParser":
    """Add a command that works on the data folder."""
    about = f"{told[0].upper()}{told[1:]}."
    parser: ArgumentParser = commands.add_parser(name, help=told, description=about)
    parser.epilog = f"Example: {parser.prog} {example}".rstrip()
    add_data(parser)
    parser.set_defaults(do=do)
    return parser


def folder(arguments: "Namespace") -> Path:
    """
    Return the data folder that a command is about.

    Raises:
        ConfigError: the configuration that names it is wrong.
    """
    return Path(load(arguments.config, os.environ, data=arguments.data).data)


@contextmanager
def admin_session(
    folder: Path, offline: Callable[[DataFolder], AbstractContextManager[RunCommand]]
) -> Iterator[RunCommand]:
    """
    Yield what does the commands: the daemon of a data folder; or, while none runs and none can
    start, this process.

    Args:
        alone: yields what does them to the files of the folder.

    Raises:
        StartError: the folder cannot be used.
    """
    control = folder / "control"
    if answers(control):
        yield partial(ask, control)
        return
    held = DataFolder(str(folder))
    try:
        with offline(held) as run:
            yield run
    finally:
        held.release()


def status(arguments: "Namespace") -> None:
    """
    Print what the daemon says of itself.

    Raises:
        ConfigError: the configuration that names the data folder is wrong.
        ClientError: no daemon answers.
        SystemExit: it is not healthy.
    """
    answer = ask(folder(arguments) / "control", "status")
    if arguments.json:
        print(msgspec.json.encode(answer).decode(), flush=True)
    else:
        print("\n".join(describe(answer, time.time())), flush=True)
    if not answer.get("healthy", True):
        raise SystemExit(UNHEALTHY)


def describe(answer: Mapping[str, Any], now: float) -> Iterator[str]:
    """
    Yield the lines that tell a status to a person; what they do not know is told as it is.

    Args:
        now: seconds since the Unix epoch.
    """
    yield _headline(answer, now)
    for key, value in answer.items():
        if key not in HEAD:
            yield from _lines(key, value, "")


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a table whose columns are the keys, in the order they came up."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[column.upper() for column in columns]]
    cells += [[show(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(map(str.ljust, line, widths)).rstrip()


def show(value: object) -> str:
    """Return a JSON value as people write it."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, list):
        return ", ".join(map(show, value)) or "-"
    return str(value)


def duration(seconds: float) -> str:
    """Return a length of time as people write it: `3 min 20 s`."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    told = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(told[:2]) or "0 s"


def _headline(answer: Mapping[str, Any], now: float) -> str:
    parts = [f"mtnet {answer.get('version', '')}".rstrip()]
    if "pid" in answer:
        parts.append(f"process {answer['pid']}")
    if isinstance(answer.get("since"), int):
        parts.append(f"up {duration(now - answer['since'] / 1000)}")
    if "healthy" in answer:
        parts.append("healthy" if answer["healthy"] else "NOT HEALTHY")
    causes = " ".join([*(answer.get("trouble") or ()), *(answer.get("warnings") or ())])
    return ", ".join(parts) + (f": {causes}" if causes else "")


def _lines(key: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield f"{indent}{key}:"
        for inner, each in value.items():
            yield from _lines(inner, each, indent + "  ")
    elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        yield f"{indent}{key}:"
        yield from (f"{indent}  {line}" for line in table(value))
    else:
        yield f"{indent}{key}: {show(value)}"
