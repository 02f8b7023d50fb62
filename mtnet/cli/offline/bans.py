"""The commands on bans while no daemon runs."""

import os
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from mtnet.access.bans.commands import COMMANDS
from mtnet.access.bans.policy import Bans
from mtnet.access.bans.store import BanStore
from mtnet.cli.local import RunCommand
from mtnet.config.loader import load_section
from mtnet.config.schema import Bans as BanSettings
from mtnet.daemon.datadir import DataFolder


@contextmanager
def on_bans(arguments: Namespace, folder: DataFolder) -> Iterator[RunCommand]:
    """
    Yield a function that runs the commands of `mtnet.access.bans.commands`.

    Raises:
        ConfigError: the section [access] of the configuration is wrong.
    """
    settings = load_section("access", None, arguments.config, os.environ).access.bans
    with closing(BanStore(folder.bans)) as records:
        yield partial(_change, records, settings)


def _change(records: BanStore, settings: BanSettings, command: str, **values: object) -> Any:
    bans, when, wall = Bans(settings), time.monotonic(), time.time()
    bans.load(records.load(), when, wall)
    result = COMMANDS[command](bans, values, when)
    if changes := bans.changes(when, wall, steady=False):
        records.store(changes)
    return result
