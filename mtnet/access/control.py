"""Everything that decides who may do what, in one hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mtnet.access.accounts.authenticator import Authenticator, Method
from mtnet.access.accounts.cred import Checker
from mtnet.access.accounts.model import Accounts
from mtnet.access.accounts.passwords import PasswordCache
from mtnet.access.anonymous import AnonymousAccess
from mtnet.access.bans.policy import Bans
from mtnet.access.connection_limits import ConnectionLimiter
from mtnet.access.security_log import SecurityLog
from mtnet.config.schema import Access as Settings


@dataclass(frozen=True)
class AccessControl:
    """
    Attributes:
        settings: `[access]`.
        rules: the rights of connections that have not logged in.
        accounts: who may log in.
        bans: who is kept out for a while.
        entrance: where people say who they are.
        log: of who came in and who did not.
        doors: the connections of each service.
    """

    settings: Settings
    anonymous: AnonymousAccess
    accounts: Accounts
    bans: Bans
    authenticator: Authenticator
    log: SecurityLog
    limiters: dict[str, ConnectionLimiter] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        settings: Settings,
        accounts: Accounts,
        bans: Bans,
        hashing: Callable[..., "Deferred[Any]"],
        hurried: Callable[..., "Deferred[Any]"],
        clock: IReactorTime,
        now: Callable[[], int],
        rehash: Callable[[str, str, str], object],
        log: SecurityLog,
    ) -> "AccessControl":
        """
        Put it together.

        Args:
            hashing: runs a hash off the reactor.
            hurried: runs one for a network from which somebody logged in of late.
            now: milliseconds since the Unix epoch.
            improve: is told the login, the password and the hash of somebody whose hash is too
                cheap by now.
            log: is told who came in and who did not.

        Raises:
            ConfigError: a right or a network is none.
        """
        anonymous = AnonymousAccess(settings.anonymous, settings.networks, settings.trust_loopback)
        recent = PasswordCache(settings.password_cache)
        strangers, known = (
            Method(
                Checker(accounts, recent, lane, clock.seconds, now, rehash),
                settings.max_pending_logins,
            )
            for lane in (hashing, hurried)
        )
        authenticator = Authenticator(strangers, known, accounts, bans, clock, now, log)
        bans.on_ban = lambda key, penalty, seconds: log.banned(
            key.network, key.login if accounts.get(key.login) else "", penalty.why, seconds
        )
        return cls(settings, anonymous, accounts, bans, authenticator, log)

    def limiter(self, service: str) -> ConnectionLimiter:
        """Return the door of a service, which all its listeners share."""
        if service not in self.limiters:
            self.limiters[service] = ConnectionLimiter(
                self.settings.of_service(service), self.settings.max_unauthenticated_per_second
            )
        return self.limiters[service]

    def evict_banned(self, when: float) -> None:
        """Close the connections of those whom the owner has banned; `when` is seconds."""
        for limiter in self.limiters.values():
            limiter.evict_if(lambda host: self.bans.manual_ban_left(host, when) > 0)

    def report(self) -> dict[str, object]:
        """Return the figures for `mtnet status`."""
        return {
            "logins": self.authenticator.report(),
            **{name: limiter.report() for name, limiter in self.limiters.items()},
        }
