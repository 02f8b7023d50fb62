"""Access control: accounts, bans and limits in one object, and their files."""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mtnet.access.accounts.authenticator import Authenticator, Threads
from mtnet.access.accounts.commands import AccountCommands
from mtnet.access.accounts.model import Accounts
from mtnet.access.accounts.passwords import hash_password
from mtnet.access.accounts.store import AccountStore
from mtnet.access.anonymous import AnonymousAccess
from mtnet.access.bans.commands import BanCommands
from mtnet.access.bans.penalties import Key, Penalty
from mtnet.access.bans.policy import Bans
from mtnet.access.bans.store import BanStore
from mtnet.access.connection_limits import ConnectionLimiter
from mtnet.access.rights import Permissions
from mtnet.access.security_log import SecurityLog
from mtnet.clock import WallClock
from mtnet.config.schema import Access as Settings
from mtnet.errors import JournalError


class AccessControl:
    """
    Facade of access control.

    Args:
        now: wall time, and whether it can be trusted.
        permissions: parses rights.
        accounts: the accounts; None = none until `load`.

    Attributes:
        settings: `[access]`.
        permissions: the verbs of the installed services.
        anonymous: the rights of connections that have not logged in.
        accounts: the accounts and their watchers.
        bans: all penalties.
        authenticator: checks credentials.
        log: the security log.
        limiters: one for each service that has had a connection.

    Raises:
        ConfigError: `[access]` names an invalid right or network.
    """

    _logger = Logger()

    def __init__(
        self,
        settings: Settings,
        account_store: AccountStore,
        ban_store: BanStore,
        threads: Threads,
        clock: IReactorTime,
        now: WallClock,
        permissions: Permissions,
        accounts: Accounts | None = None,
    ) -> None:
        self.settings, self.permissions = settings, permissions
        self.anonymous = AnonymousAccess(
            permissions, settings.anonymous, settings.networks, settings.trust_loopback
        )
        self.accounts = accounts or Accounts(known=int(settings.known_network * 1000))
        self.bans, self.log = Bans(settings.bans), SecurityLog(clock.seconds)
        self.bans.on_ban = self._log_ban
        self.authenticator = Authenticator(
            settings, self.accounts, self.bans, threads, clock, now, self.log, self._rehash
        )
        self.limiters: dict[str, ConnectionLimiter] = {}
        self._hash = partial(threads.known, hash_password)
        self._account_commands = AccountCommands(
            self.accounts, account_store, threads.files, now, self._hash, self.log
        )
        self._ban_commands = BanCommands(
            self.bans, ban_store, threads.files, clock, now, self.evict_banned, self.log
        )

    def load(self) -> None:
        """
        Read both files; blocks, so it is for the time before the first connection.

        Raises:
            JournalError: a file cannot be read.
        """
        self._account_commands.load()
        self._ban_commands.load()

    def commands(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        """Return the commands for the control socket; each begins when it is called."""
        own = {**self._account_commands.commands(), **self._ban_commands.commands()}
        return {name: partial(_begin, command) for name, command in own.items()}

    def reload(self) -> None:
        """Read the accounts again."""
        Deferred.fromCoroutine(self._account_commands.reload())

    def flush(self) -> "Deferred[None]":
        """Store logins and bans; after an error of the disk the next flush tries again."""
        return Deferred.fromCoroutine(self._flush())

    def limiter(self, service: str) -> ConnectionLimiter:
        """Return the limiter of a service, which all its listeners share."""
        if service not in self.limiters:
            self.limiters[service] = ConnectionLimiter(
                self.settings.limits(service), self.settings.max_unauthenticated_per_second
            )
        return self.limiters[service]

    def evict_banned(self, when: float) -> None:
        """Close the connections that the owner has banned; `when` is seconds of the clock."""
        for limiter in self.limiters.values():
            limiter.evict_if(lambda host: self.bans.manual_ban_left(host, when) > 0)

    def report(self) -> dict[str, object]:
        """Return the figures for `mtnet status`."""
        return {
            "logins": self.authenticator.report(),
            **{name: limiter.report() for name, limiter in self.limiters.items()},
        }

    async def _flush(self) -> None:
        await self._account_commands.flush()
        try:
            await self._ban_commands.flush()
        except JournalError as error:
            self._logger.warn("{error} The bans are stored later.", error=error)

    def _log_ban(self, key: Key, penalty: Penalty, seconds: float) -> None:
        login = key.login if self.accounts.get(key.login) else ""
        self.log.banned(key.network, login, penalty.why, seconds)

    def _rehash(self, name: str, password: str, old: str) -> None:
        """Hash a password again with today's parameters."""
        Deferred.fromCoroutine(self._store_hash(name, password, old)).addErrback(
            lambda failure: self._logger.warn("{error}", error=failure.value)
        )

    async def _store_hash(self, name: str, password: str, old: str) -> None:
        await self._account_commands.rehash(name, old, await self._hash(password))


def _begin(
    command: Callable[[Mapping[str, Any]], Coroutine[Any, Any, Any]], arguments: Mapping[str, Any]
) -> "Deferred[Any]":
    return Deferred.fromCoroutine(command(arguments))
