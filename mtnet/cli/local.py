"""Commands that work on a data folder: by its daemon's control socket, or on the files."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtnet.cli import parsers
from mtnet.daemon.control.client import TIMEOUT, answers, ask

if TYPE_CHECKING:
    from mtnet.cli.parsers import Commands
    from mtnet.daemon.datadir import DataFolder

RunCommand = Callable[..., Any]
"""Runs a command of the control socket by its name; raises a MtnetError when it is refused."""


def add(
    commands: "Commands", name: str, run: parsers.Run, summary: str, example: str = ""
) -> ArgumentParser:
    """Add a command that works on the data folder; arguments as of `parsers.add`."""
    parser = parsers.add(commands, name, run, summary, example)
    parsers.add_data(parser)
    return parser


def folder(arguments: Namespace) -> Path:
    """
    Return the data folder that a command is about.

    Raises:
        ConfigError: the configuration that names it cannot be read.
    """
    # Here, as commands that talk to a server need none of it.
    from mtnet.config.loader import data_folder

    return data_folder(arguments.config, os.environ, arguments.data)


def ask_daemon(arguments: Namespace, command: str, **values: Any) -> Any:
    """
    Return what the running daemon answers to a command of its control socket.

    Raises:
        ClientError: no daemon answers, or it refuses.
    """
    return ask(folder(arguments) / "control", command, **values)


@contextmanager
def admin_session(
    folder: Path,
    offline: Callable[["DataFolder"], AbstractContextManager[RunCommand]],
    wait: float | None = TIMEOUT,
) -> Iterator[RunCommand]:
    """
    Yield a function that runs the owner's commands.

    The daemon of the data folder runs them. While none runs, this process does, and keeps the
    folder locked so that none can start.

    Args:
        offline: yields a function that runs the commands on the files of the folder.
        wait: as of `mtnet.daemon.control.client.ask`.

    Raises:
        StartError: the folder cannot be used.
    """
    control = folder / "control"
    if answers(control):
        yield partial(ask, control, wait=wait)
        return
    from mtnet.daemon.datadir import DataFolder

    locked = DataFolder(str(folder))
    try:
        with offline(locked) as run:
            yield run
    finally:
        locked.release()
