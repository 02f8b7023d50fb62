"""What lasts of access: accounts and bans, from the disk into the daemon and back."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mtnet.access.accounts.commands import AccountCommands
from mtnet.access.accounts.model import Accounts
from mtnet.access.accounts.passwords import hash_password
from mtnet.access.accounts.store import AccountStore
from mtnet.access.bans.commands import BanCommands
from mtnet.access.bans.policy import Bans
from mtnet.access.bans.store import BanStore
from mtnet.access.control import AccessControl
from mtnet.access.security_log import SecurityLog
from mtnet.clock import WallClock
from mtnet.config.schema import Access as Settings
from mtnet.errors import JournalError
from mtnet.storage.worker import InThread


class Keeper:
    """
    Opens both files; blocks, for the time before the first connection.

    Args:
        accounts, bans: the files; their folder exists.
        hashing: runs the hashes of strangers.
        hurried: runs those of networks from which somebody logged in, and of new passwords.
        in_thread: runs what reads and writes the files.
        now: wall time, and whether it may be believed.

    Attributes:
        access: who may do what.

    Raises:
        ConfigError: `[access]` names what is no right or no network.
        JournalError: a file cannot be read.
    """

    log = Logger()

    def __init__(
        self,
        settings: Settings,
        accounts: Path,
        bans: Path,
        hashing: InThread,
        hurried: InThread,
        in_thread: InThread,
        clock: IReactorTime,
        now: WallClock,
    ) -> None:
        records, penalties = AccountStore(accounts), Bans(settings.bans)
        directory, logins = records.load()
        people = Accounts(directory, int(settings.known_network * 1000), logins)
        people.expire(now())
        now.compare("the newest account or token", directory.newest)
        self._hash: InThread = partial(hurried, hash_password)
        self._clerk = AccountCommands(people, records, in_thread, now, self._hash)
        log = SecurityLog(clock.seconds)
        self._warden = BanCommands(
            penalties,
            BanStore(bans),
            in_thread,
            clock,
            now,
            lambda when: self.access.evict_banned(when),
            log,
        )
        self._warden.load()
        self.access = AccessControl.build(
            settings, people, penalties, hashing, hurried, clock, now, self._improve, log
        )

    def commands(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        """Return what can be asked for through the control socket."""
        return {**self._clerk.commands(), **self._warden.commands()}

    def reload(self) -> None:
        """Take the accounts anew."""
        Deferred.fromCoroutine(self._clerk.reload())

    def flush(self) -> "Deferred[None]":
        """Write down who logged in and who is banned; what the disk refuses is tried again."""
        return Deferred.fromCoroutine(self._flush())

    async def _flush(self) -> None:
        await self._clerk.flush()
        try:
            await self._warden.flush()
        except JournalError as error:
            self.log.warn("{error} The bans are stored later.", error=error)

    def _improve(self, name: str, password: str, old: str) -> None:
        """Hash a password as it would be hashed today."""
        Deferred.fromCoroutine(self._rehash(name, password, old)).addErrback(
            lambda failure: self.log.warn("{error}", error=failure.value)
        )

    async def _rehash(self, name: str, password: str, old: str) -> None:
        await self._clerk.rehash(name, old, await self._hash(password))
