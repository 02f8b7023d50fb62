"""The way in: what every protocol calls when somebody shows credentials."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import cast

from twisted.cred.credentials import ICredentials
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.interfaces import IReactorTime

from mtnet.access.accounts import Accounts
from mtnet.access.bans import Bans, Offence
from mtnet.access.limits import network
from mtnet.access.line import Line
from mtnet.access.portal import Certified, Checker, Identity, IIdentity, portal
from mtnet.errors import WireError

NONE = "There are no accounts here; nothing needs a login"
WRONG = "The login or its password is wrong"
"""One sentence for all that can be wrong: which of them it is, a guesser would like to know."""


class Way:
    """
    How some log in: a portal, and the line before it of those whose password must be hashed.

    Args:
        most: logins that may wait in the line.
    """

    def __init__(self, checker: Checker, most: int) -> None:
        self.checker, self.portal, self.line = checker, portal(checker), Line(most)


class Entrance:
    """
    Lets in who can say who they are, and slows down who tries.

    Args:
        strangers: for networks from which nobody logged in of late.
        known: for the others, who do not wait for a crowd of strangers.
        now: milliseconds since the Unix epoch.

    Attributes:
        portal: for protocols of Twisted's own, which neither wait in a line nor are slowed.
        counts: logins by how they ended.
    """

    def __init__(
        self,
        strangers: Way,
        known: Way,
        accounts: Accounts,
        bans: Bans,
        clock: IReactorTime,
        now: Callable[[], int],
    ) -> None:
        self._strangers, self._known, self._accounts = strangers, known, accounts
        self._bans, self._clock, self._now = bans, clock, now
        self.portal: Portal = known.portal
        self.counts: Counter[str] = Counter()

    async def attempt(self, credentials: ICredentials, host: str, trusted: bool) -> Identity:
        """
        Find out who somebody is.

        Args:
            host: where they come from.
            trusted: no attempt of theirs is counted.

        Raises:
            WireError: `login` (nobody has these credentials), `banned` (too many that were
                wrong came from there), `server` (too many wait).
        """
        found = self.recognize(credentials, host, trusted)
        if found is not None:
            return found
        known = trusted or self._accounts.knows(network(host), self._now())
        way = self._known if known else self._strangers
        name = way.checker.name_of(credentials)
        self._check_bans(name, host, trusted)
        return await way.line.join(lambda: self._decide(way, credentials, name, host, trusted))

    def recognize(self, credentials: ICredentials, host: str, trusted: bool) -> Identity | None:
        """
        Find out at once who somebody is, unless a hash is needed; else as `attempt`.

        Returns:
            None = a hash is needed.

        Raises:
            WireError: `login` or `banned`.
        """
        if self._accounts.empty:
            raise WireError("login", NONE)
        checker = self._known.checker
        if checker.is_dear(credentials):
            return None
        name = checker.name_of(credentials)
        self._check_bans(name, host, trusted)
        found = checker.recognize(credentials)
        if found is None:
            raise self._wrong(name, host, trusted)
        return self._right(found, host)

    def certified(self, names: Sequence[str], host: str) -> Identity | None:
        """Let in whose client certificate has these names; None = nobody's."""
        found: list[Identity] = []
        self.portal.login(Certified(names), None, IIdentity).addCallbacks(
            lambda result: found.append(result[1]), lambda failure: failure.trap(UnauthorizedLogin)
        )
        for identity in found:
            self._let_in(identity, host)
        return found[0] if found else None

    async def _decide(
        self, way: Way, credentials: ICredentials, name: str, host: str, trusted: bool
    ) -> Identity:
        # Those before in the line may have been the same guesser.
        self._check_bans(name, host, trusted)
        try:
            _, found, _ = await way.portal.login(credentials, None, IIdentity)
        except UnauthorizedLogin as error:
            raise self._wrong(name, host, trusted) from error
        return self._right(cast(Identity, found), host)

    def _wrong(self, name: str, host: str, trusted: bool) -> WireError:
        """Count a bad login; return what is said of it."""
        self.counts["wrong"] += 1
        if not trusted:
            self._bans.punish(host, Offence.LOGIN, self._clock.seconds(), name)
        return WireError("login", WRONG)

    def _right(self, identity: Identity, host: str) -> Identity:
        self._bans.pardon(identity.name, host)
        self._let_in(identity, host)
        return identity

    def _let_in(self, identity: Identity, host: str) -> None:
        self.counts["right"] += 1
        self._accounts.logged_in(identity.name, network(host), self._now())

    def report(self) -> dict[str, int]:
        """Return the figures for `mtnet status`."""
        ends = {name: self.counts[name] for name in ("right", "wrong", "barred")}
        lines = self._strangers.line, self._known.line
        return {**ends, "refused": sum(e.refused for e in lines), "waiting": sum(map(len, lines))}

    def _check_bans(self, name: str, host: str, trusted: bool) -> None:
        if trusted:
            return
        known = bool(name) and self._accounts.knows(network(host), self._now(), name)
        left = self._bans.barred_login(name, host, self._clock.seconds(), known)
        if left > 0:
            self.counts["barred"] += 1
            raise WireError("banned", f"Too many logins were wrong; come back in {left:.0f} s")
