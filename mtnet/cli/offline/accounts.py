"""The commands on accounts while no daemon runs; nothing of them waits, so there is no reactor."""

import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from mtnet.access.accounts.commands import AccountCommands
from mtnet.access.accounts.model import Accounts
from mtnet.access.accounts.passwords import hash_password
from mtnet.access.accounts.store import AccountStore
from mtnet.access.security_log import SecurityLog
from mtnet.cli.declared import permissions
from mtnet.cli.local import RunCommand
from mtnet.clock import WallClock, system_time
from mtnet.daemon.datadir import DataFolder


class NoLog(SecurityLog):
    """The log of a daemon that does not run."""

    def account_changed(self, login: str, change: str, who: str = "") -> None:
        """Log nothing."""


@contextmanager
def on_accounts(folder: DataFolder) -> Iterator[RunCommand]:
    """Yield a function that runs the commands of `mtnet.access.accounts.commands`."""
    with closing(AccountStore(folder.accounts, permissions())) as store:
        clock = WallClock(system_time, time.monotonic)
        log = NoLog(time.monotonic)
        commands = AccountCommands(Accounts(), store, _at_once, clock, _hash, log)
        yield partial(_run, commands.commands())


async def _at_once(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


async def _hash(password: str) -> str:
    return hash_password(password)


def _run(
    commands: Mapping[str, Callable[[Mapping[str, Any]], Coroutine[Any, Any, Any]]],
    command: str,
    **arguments: Any,
) -> Any:
    try:
        commands[command](arguments).send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError(f"{command} waits for something")
