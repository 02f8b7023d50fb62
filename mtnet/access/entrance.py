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


class Entrance:
    """
    Lets in who can say who they are, and slows down who tries.

    Args:
        line: where those wait whose password must be hashed.
        now: milliseconds since the Unix epoch.

    Attributes:
        portal: for protocols of Twisted's own, which neither wait in the line nor are slowed.
        counts: logins by how they ended.
    """

    def __init__(
        self,
        checker: Checker,
        accounts: Accounts,
        bans: Bans,
        line: Line,
        clock: IReactorTime,
        now: Callable[[], int],
    ) -> None:
        self._checker, self._accounts, self._bans = checker, accounts, bans
        self._line, self._clock, self._now = line, clock, now
        self.portal: Portal = portal(checker)
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
        if self._accounts.empty:
            raise WireError("login", NONE)
        name = self._checker.name_of(credentials)
        if not self._checker.is_dear(credentials):
            return await self._decide(credentials, name, host, trusted)
        self._check_bans(name, host, trusted)
        known = trusted or self._accounts.knows(network(host), self._now())
        return await self._line.join(lambda: self._decide(credentials, name, host, trusted), known)

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
        self, credentials: ICredentials, name: str, host: str, trusted: bool
    ) -> Identity:
        # Those before in the line may have been the same guesser.
        self._check_bans(name, host, trusted)
        try:
            _, found, _ = await self.portal.login(credentials, None, IIdentity)
        except UnauthorizedLogin as error:
            self.counts["wrong"] += 1
            if not trusted:
                self._bans.punish(host, Offence.LOGIN, self._clock.seconds(), name)
            raise WireError("login", WRONG) from error
        identity = cast(Identity, found)
        self._bans.pardon(identity.name, host)
        self._let_in(identity, host)
        return identity

    def _let_in(self, identity: Identity, host: str) -> None:
        self.counts["right"] += 1
        self._accounts.logged_in(identity.name, network(host), self._now())

    def report(self) -> dict[str, int]:
        """Return the figures for `mtnet status`."""
        ends = {name: self.counts[name] for name in ("right", "wrong", "barred")}
        return {**ends, "refused": self._line.refused, "waiting": len(self._line)}

    def _check_bans(self, name: str, host: str, trusted: bool) -> None:
        if trusted:
            return
        known = bool(name) and self._accounts.knows(network(host), self._now(), name)
        left = self._bans.barred_login(name, host, self._clock.seconds(), known)
        if left > 0:
            self.counts["barred"] += 1
            raise WireError("banned", f"Too many logins were wrong; come back in {left:.0f} s")
