"""Everything that decides who may do what, in one hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mtnet.access.accounts.authenticator import Entrance, Way
from mtnet.access.accounts.cred import Checker
from mtnet.access.accounts.model import Accounts
from mtnet.access.accounts.passwords import Recent
from mtnet.access.anonymous import Rules
from mtnet.access.bans.policy import Bans
from mtnet.access.connection_limits import Door
from mtnet.access.security_log import SecurityLog
from mtnet.config.schema import Access as Settings


@dataclass(frozen=True)
class Access:
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
    rules: Rules
    accounts: Accounts
    bans: Bans
    entrance: Entrance
    log: SecurityLog
    doors: dict[str, Door] = field(default_factory=dict)

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
        improve: Callable[[str, str, str], object],
        log: SecurityLog,
    ) -> "Access":
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
        rules = Rules(settings.anonymous, settings.networks, settings.trust_loopback)
        recent = Recent(settings.recent)
        strangers, known = (
            Way(Checker(accounts, recent, lane, clock.seconds, now, improve), settings.hashes)
            for lane in (hashing, hurried)
        )
        entrance = Entrance(strangers, known, accounts, bans, clock, now, log)
        bans.began = lambda key, penalty, seconds: log.banned(
            key.network, key.login if accounts.get(key.login) else "", penalty.why, seconds
        )
        return cls(settings, rules, accounts, bans, entrance, log)

    def door(self, service: str) -> Door:
        """Return the door of a service, which all its listeners share."""
        if service not in self.doors:
            self.doors[service] = Door(self.settings.of_service(service), self.settings.rush)
        return self.doors[service]

    def turn_out(self, when: float) -> None:
        """Close the connections of those whom the owner has banned; `when` is seconds."""
        for door in self.doors.values():
            door.turn_out(lambda host: self.bans.banned(host, when) > 0)

    def report(self) -> dict[str, object]:
        """Return the figures for `mtnet status`."""
        return {
            "logins": self.entrance.report(),
            **{name: door.report() for name, door in self.doors.items()},
        }
