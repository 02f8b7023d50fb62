"""The way in: what every protocol calls when somebody shows credentials."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import cast

from twisted.cred.credentials import ICredentials
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.interfaces import IReactorTime

from mtnet.access.accounts.cred import Certified, Checker, Identity, IIdentity, portal
from mtnet.access.accounts.model import Accounts
from mtnet.access.accounts.serial_queue import SerialQueue
from mtnet.access.addresses import network_of
from mtnet.access.bans.policy import Bans, Offence
from mtnet.access.security_log import Origin, SecurityLog
from mtnet.errors import WireError

NONE = "There are no accounts here; nothing needs a login"
LOGGED = ("login", "banned", "server")
"""The codes of what a login is refused with; the log has it by then."""
WRONG = "The login or its password is wrong"
"""One sentence for all that can be wrong: which of them it is, a guesser would like to know."""


class Method:
    """
    How some log in: a portal, and the line before it of those whose password must be hashed.

    Args:
        most: logins that may wait in the line.
    """

    def __init__(self, checker: Checker, most: int) -> None:
        self.checker, self.portal, self.line = checker, portal(checker), SerialQueue(most)


class Authenticator:
    """
    Lets in who can say who they are, and slows down who tries.

    Args:
        strangers: for networks from which nobody logged in of late.
        known: for the others, who do not wait for a crowd of strangers.
        now: milliseconds since the Unix epoch.
        log: is told how each login ended, once.

    Attributes:
        portal: for protocols of Twisted's own, which neither wait in a line nor are slowed.
        counts: logins by how they ended.
    """

    def __init__(
        self,
        strangers: Method,
        known: Method,
        accounts: Accounts,
        bans: Bans,
        clock: IReactorTime,
        now: Callable[[], int],
        log: SecurityLog,
    ) -> None:
        self._strangers, self._known, self._accounts = strangers, known, accounts
        self._bans, self._clock, self._now = bans, clock, now
        self._log = log
        self.portal: Portal = known.portal
        self.counts: Counter[str] = Counter()

    async def attempt(
        self,
        credentials: ICredentials,
        host: str,
        trusted: bool,
        origin: Origin | None = None,
    ) -> Identity:
        """
        Find out who somebody is.

        Args:
            host: where they come from.
            origin: that, and what they want; None = nothing more is known.
            trusted: no attempt of theirs is counted.

        Raises:
            WireError: `login` (nobody has these credentials), `banned` (too many that were
                wrong came from there), `server` (too many wait).
        """
        origin = origin or Origin(host)
        found = self.recognize(credentials, host, trusted, origin)
        if found is not None:
            return found
        known = trusted or self._accounts.is_known_network(network_of(host), self._now())
        way = self._known if known else self._strangers
        name = way.checker.name_of(credentials)
        self._check_bans(name, host, trusted, origin)
        try:
            turn = way.line.join(lambda: self._decide(way, credentials, name, trusted, origin))
        except WireError:
            self._log.refused(origin, "busy", self._shown(name))
            raise
        return await turn

    def recognize(
        self,
        credentials: ICredentials,
        host: str,
        trusted: bool,
        origin: Origin | None = None,
    ) -> Identity | None:
        """
        Find out at once who somebody is, unless a hash is needed; else as `attempt`.

        Returns:
            None = a hash is needed.

        Raises:
            WireError: `login` or `banned`.
        """
        origin = origin or Origin(host)
        if self._accounts.empty:
            self._log.refused(origin, "no-accounts")
            raise WireError("login", NONE)
        checker = self._known.checker
        if checker.needs_hashing(credentials):
            return None
        name = checker.name_of(credentials)
        self._check_bans(name, host, trusted, origin)
        found = checker.recognize(credentials)
        if found is None:
            raise self._wrong(credentials, name, trusted, origin)
        return self._right(found, origin)

    def certified(
        self, names: Sequence[str], host: str, origin: Origin | None = None
    ) -> Identity | None:
        """Let in whose client certificate has these names; None = nobody's."""
        found: list[Identity] = []
        self.portal.login(Certified(names), None, IIdentity).addCallbacks(
            lambda result: found.append(result[1]), lambda failure: failure.trap(UnauthorizedLogin)
        )
        for identity in found:
            self._let_in(identity, origin or Origin(host))
        return found[0] if found else None

    async def _decide(
        self, way: Method, credentials: ICredentials, name: str, trusted: bool, origin: Origin
    ) -> Identity:
        # Those before in the line may have been the same guesser.
        self._check_bans(name, origin.host, trusted, origin)
        try:
            _, found, _ = await way.portal.login(credentials, None, IIdentity)
        except UnauthorizedLogin as error:
            raise self._wrong(credentials, name, trusted, origin) from error
        return self._right(cast(Identity, found), origin)

    def _wrong(
        self, credentials: ICredentials, name: str, trusted: bool, origin: Origin
    ) -> WireError:
        """Count a bad login; return what is said of it, which tells nobody more."""
        self.counts["wrong"] += 1
        outdated = self._known.checker.outdated(credentials)
        if outdated is not None:  # nobody guesses a token that was right once
            self._log.refused(origin, *reversed(outdated))
        else:
            self._log.refused(origin, "wrong", self._shown(name))
            if not trusted:
                self._bans.punish(origin.host, Offence.LOGIN, self._clock.seconds(), name)
        return WireError("login", WRONG)

    def _shown(self, name: str) -> str:
        """Return a login if there is such an account: else it may be somebody's password."""
        return name if self._accounts.get(name) else ""

    def _right(self, identity: Identity, origin: Origin) -> Identity:
        self._bans.pardon(identity.name, origin.host)
        self._let_in(identity, origin)
        return identity

    def _let_in(self, identity: Identity, origin: Origin) -> None:
        self.counts["right"] += 1
        self._log.accepted(origin, identity.name)
        self._accounts.logged_in(identity.name, network_of(origin.host), self._now())

    def report(self) -> dict[str, int]:
        """Return the figures for `mtnet status`."""
        ends = {name: self.counts[name] for name in ("right", "wrong", "barred")}
        lines = self._strangers.line, self._known.line
        return {**ends, "refused": sum(e.refused for e in lines), "waiting": sum(map(len, lines))}

    def _check_bans(self, name: str, host: str, trusted: bool, origin: Origin) -> None:
        if trusted:
            return
        known = bool(name) and self._accounts.is_known_network(network_of(host), self._now(), name)
        left = self._bans.login_ban_left(name, host, self._clock.seconds(), known)
        if left > 0:
            self.counts["barred"] += 1
            self._log.refused(origin, "banned", self._shown(name))
            raise WireError("banned", f"Too many logins were wrong; come back in {left:.0f} s")
