"""The owner's commands on the files of a data folder, while no daemon runs there."""

import os
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.python.failure import Failure

from mtnet.access.accounts.commands import AccountCommands
from mtnet.access.accounts.model import Accounts
from mtnet.access.accounts.passwords import hash_password
from mtnet.access.accounts.store import AccountStore
from mtnet.access.bans.commands import COMMANDS
from mtnet.access.bans.policy import Bans
from mtnet.access.bans.store import BanStore
from mtnet.access.security_log import SecurityLog
from mtnet.cli.local import RunCommand
from mtnet.clock import WallClock, system_time
from mtnet.config.schema import Bans as BanSettings
from mtnet.daemon.configuration import load
from mtnet.daemon.datadir import DataFolder
from mtnet.daemon.registry import permissions


@contextmanager
def on_accounts(folder: DataFolder) -> Iterator[RunCommand]:
    """Yield a function that runs the commands of `mtnet.access.accounts.commands`."""
    with closing(AccountStore(folder.accounts, permissions())) as store:
        clock = WallClock(system_time, time.monotonic)
        log = SecurityLog(time.monotonic)
        commands = AccountCommands(Accounts(), store, maybeDeferred, clock, _hash, log)
        yield partial(_change_accounts, commands.commands())


def _change_accounts(
    commands: Mapping[str, Callable[[Mapping[str, Any]], "Deferred[Any]"]],
    command: str,
    **arguments: Any,
) -> Any:
    results: list[Any] = []
    maybeDeferred(commands[command], arguments).addBoth(results.append)
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def _hash(password: str) -> "Deferred[str]":
    return succeed(hash_password(password))


@contextmanager
def on_bans(arguments: Namespace, folder: DataFolder) -> Iterator[RunCommand]:
    """
    Yield a function that runs the commands of `mtnet.access.bans.commands`.

    Raises:
        ConfigError: the configuration is wrong.
    """
    settings = load(arguments.config, os.environ, data=arguments.data).access.bans
    with closing(BanStore(folder.bans)) as records:
        yield partial(_change_bans, records, settings)


def _change_bans(records: BanStore, settings: BanSettings, command: str, **values: object) -> Any:
    bans, when, wall = Bans(settings), time.monotonic(), time.time()
    bans.load(records.load(), when, wall)
    result = COMMANDS[command](bans, values, when)
    if changes := bans.changes(when, wall, steady=False):
        records.store(changes)
    return result
